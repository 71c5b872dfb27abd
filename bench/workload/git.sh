# init, add, commit and clone of 4,000 files in 40 directories.
set -e
mkdir -p "$1" && cd "$1"
git init -q repo
cd repo
git config user.email bench@example.com
git config user.name bench
d=0
while [ $d -lt 40 ]; do
  mkdir d$d
  f=0
  while [ $f -lt 100 ]; do
    echo "file $f of directory $d" > d$d/f$f
    f=$((f + 1))
  done
  d=$((d + 1))
done
git add .
git commit -q -m all
cd ..
git clone -q repo clone
[ "$(git -C clone ls-files | wc -l)" = 4000 ]
