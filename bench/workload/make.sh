# 80 small C files, compiled by make -j2 and archived.
set -e
mkdir -p "$1" && cd "$1"
i=0
while [ $i -lt 80 ]; do
  printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint f%d(int x) { char b[64]; snprintf(b, sizeof b, "%%d", x); return atoi(b) + (int)strlen(b) + getpid(); }\n' $i > f$i.c
  i=$((i + 1))
done
cat > Makefile <<'MK'
OBJ := $(patsubst %.c,%.o,$(wildcard f*.c))
libf.a: $(OBJ)
	ar rcs $@ $^
%.o: %.c
	gcc -O1 -c -o $@ $<
MK
make -s -j2
