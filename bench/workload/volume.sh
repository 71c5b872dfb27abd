# 2,000 files in 20 directories of a volume: made, listed, read, packed, unpacked and removed.
set -e
cd "$1"
mkdir files copy
d=0
while [ $d -lt 20 ]; do
  mkdir files/d$d
  f=0
  while [ $f -lt 100 ]; do
    echo "file $f of directory $d" > files/d$d/f$f
    f=$((f + 1))
  done
  d=$((d + 1))
done
[ "$(ls -lR files | grep -c '^-')" = 2000 ]
[ "$(grep -r 'file 7 of' files | wc -l)" = 20 ]
tar cf files.tar files
tar xf files.tar -C copy
[ "$(find copy -type f -size +0 | wc -l)" = 2000 ]
rm -r files copy files.tar
