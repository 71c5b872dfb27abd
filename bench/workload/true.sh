# A shell loop of 2,000 processes.
i=0
while [ $i -lt 2000 ]; do
  /bin/true
  i=$((i + 1))
done
