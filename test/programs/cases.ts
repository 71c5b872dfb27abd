/**
 * Real programs and what they are asked to do. Every script runs natively and in the sandbox and has to print the same and
 * end with the same status. Scripts start in an empty directory and print nothing that varies.
 */

export interface ProgramCase {
  readonly name: string;
  /** Programs that must exist; the case is skipped loudly where one does not. */
  readonly needs: readonly string[];
  /** Run by bash. */
  readonly script: string;
  readonly timeoutMs?: number;
  /** Slow ones run in the full tier only. */
  readonly slow?: boolean;
  /** Only on this one. */
  readonly platform?: string;
}

export const cases: readonly ProgramCase[] = [
  {
    name: 'bash: traps, subshells, here documents, arrays',
    needs: ['bash'],
    script: `
trap 'echo usr1' USR1; kill -USR1 $$
(trap 'echo bye' EXIT; exit 3); echo $?
a=(x y z); echo \${#a[@]} \${a[1]}
cat <<E | tr a-z A-Z
here $((6*7))
E
f() { local v=$1; echo "f $v"; return 7; }; f 1; echo $?
exec 3<>fifo_or_file; echo line >&3; exec 3>&-; cat fifo_or_file
diff <(echo a; echo b) <(echo a; echo c); echo $?
wait; sleep 0.05 & p=$!; wait $p; echo wait $?
sleep 10 & kill -TERM $!; wait $!; echo killed $?
timeout 0.2 sleep 5; echo timeout $?`,
  },
  {
    name: 'bash: job control',
    needs: ['bash'],
    script: `set -m
sleep 5 & kill -STOP %1; sleep 0.1; jobs | sed 's/[0-9][0-9]*$//'; kill -CONT %1; kill %1; wait %1; echo $?
(exit 5) & wait $!; echo $?
{ echo a; sleep 0.05; echo b; } | while read l; do echo "got $l"; done`,
  },
  {
    name: 'coreutils, findutils, grep, sed, awk pipelines',
    needs: ['find', 'awk', 'sed', 'grep'],
    script: `
mkdir -p t/a/b t/c; for i in $(seq 1 200); do echo "line $i $((i*i))" > t/a/f$i; done
ln -s ../a t/c/link; ln t/a/f1 t/c/hard
find t -type f | sort | head -5; find t -type f | wc -l; find t -name "f1*" -newer t/nothing 2>/dev/null | wc -l
cat t/a/* | awk '{s+=$3} END {print s, NR}'
grep -rl 'line 1' t/a | wc -l; sed -n '2p' <(cat t/a/f2 t/a/f3)
seq 100 | sort -R | sort -n | tail -2; seq 1 20 | paste -sd+ | tr + '\\n' | uniq | wc -l
stat -c '%h %F %s' t/c/hard t/c/link; readlink t/c/link; du -a --apparent-size t/c | wc -l
cp -a t u && diff -r t u && echo same; mv u v; rm -rf v; ls; cut -d' ' -f2 t/a/f7 | xargs -n1 echo x
head -c 100000 /dev/zero | md5sum; split -n 4 t/a/f100 part; ls part* | wc -l; test -x /bin/sh; echo $?
dd if=/dev/zero of=big bs=4096 count=100 2>/dev/null; truncate -s 1M big; stat -c %s big; wc -c < big
touch -d '2001-02-03 04:05:06 UTC' d; date -u -r d +%F_%T; chmod 4751 d; stat -c %a d; tee a1 a2 < d > a3; ls a? | wc -l`,
  },
  {
    name: 'go: runc, often enough that its calls are patched',
    needs: ['runc'],
    script: `for i in 1 2 3 4 5 6; do rm -f config.json; runc spec; head -20 config.json | md5sum; done
runc --root $PWD/r list; runc --root $PWD/r state none 2>/dev/null; echo $?; runc --version`,
  },
  {
    name: 'musl: a C library without unwind tables; threads are cancelled in calls, signals interrupt them',
    needs: ['musl-gcc'],
    script: `cat > m.c <<'E'
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
static int ends[2], zero, null, cleaned;
static volatile int signals;
static void tidy(void *p) { (void)p; cleaned++; }
static void count(int s) { (void)s; signals++; }
static void *reader(void *busy) {
  char c;
  pthread_cleanup_push(tidy, 0);
  while (busy) read(zero, &c, 1), write(null, &c, 1);
  for (;;) read(ends[0], &c, 1);
  pthread_cleanup_pop(0);
  return 0;
}
int main(void) {
  pthread_t t;
  void *r;
  int bad = 0;
  char line[64];
  zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);
  pipe(ends);
  for (int i = 0; i < 200; i++) {
    pthread_create(&t, 0, reader, i & 1 ? ends : 0);
    if (i & 2) getppid();
    pthread_cancel(t);
    pthread_join(t, &r);
    bad += r != PTHREAD_CANCELED;
  }
  printf("cancelled, bad %d, cleaned up at most %d\\n", bad, cleaned <= 200);
  struct sigaction sa = {.sa_handler = count};
  sigaction(SIGALRM, &sa, 0);
  struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0}};
  setitimer(ITIMER_REAL, &often, 0);
  int interrupted = 0;
  for (int i = 0; i < 50; i++) interrupted += read(ends[0], line, 1) < 0 && errno == EINTR;
  for (int n = signals; signals < n + 20;) if (getppid() < 0 || read(zero, line, 1) != 1) bad++;
  setitimer(ITIMER_REAL, &never, 0);
  FILE *f = popen("echo from a child", "r");
  fgets(line, sizeof line, f);
  printf("interrupted %d, bad %d, %s, %d\\n", interrupted, bad, strtok(line, "\\n"), pclose(f));
}
E
musl-gcc -O2 -o m m.c && ./m && ./m && musl-gcc -static -O2 -o s m.c && ./s`,
  },
  {
    name: 'tar, gzip, xz',
    needs: ['tar', 'gzip', 'xz'],
    script: `
mkdir d; for i in $(seq 1 50); do head -c $((i*1000)) /dev/zero | tr '\\0' x > d/f$i; done; ln -s f1 d/l; chmod 600 d/f2
tar cf a.tar d; tar czf a.tgz d; tar cJf a.txz d; for f in a.tar a.tgz a.txz; do mkdir x; tar xf $f -C x; diff -r d x/d && echo $f ok; rm -r x; done
tar tvf a.tar | awk '{print $1, $3, $6}' | sort | head -5; gzip -t a.tgz && echo fine; xz -t a.txz && echo fine`,
  },
  {
    name: 'perl',
    needs: ['perl'],
    script: `perl -e '
use strict; use POSIX ":sys_wait_h"; use IO::Handle;
pipe(my $r, my $w); my $pid = fork(); if (!$pid) { close $r; print $w "child says $_\\n" for 1..3; exit 4 } close $w;
print while <$r>; waitpid($pid, 0); print "status ", $? >> 8, "\\n";
local $SIG{ALRM} = sub { die "alarm\\n" }; eval { alarm 1; select(undef, undef, undef, 5); }; print "got $@";
open(my $f, "+>", "file"); print $f "x" x 10000; seek($f, 5000, 0); read($f, my $b, 10); print "$b\\n"; print -s "file", "\\n";
my @l = sort { $a <=> $b } map { ($_ * 7919) % 1000 } 1..1000; print "@l[0..4]\\n"; print join(",", sort glob("*")), "\\n";
opendir(my $d, "."); my @e = sort grep { !/^\\./ } readdir $d; print "@e\\n"; mkdir "dir"; rename "file", "dir/f"; print -e "dir/f" ? "moved\\n" : "no\\n";'`,
  },
  {
    name: 'python3: threads, subprocess, asyncio, multiprocessing, sqlite3',
    needs: ['python3'],
    timeoutMs: 120_000,
    script: `cat > t.py <<'E'
import threading, subprocess, asyncio, multiprocessing, sqlite3, os, socket, signal, tempfile, mmap, select, time, queue, concurrent.futures as cf
def sq(x): return x * x
async def co(n):
    await asyncio.sleep(0.01 * n); return n
async def srv():
    async def h(r, w):
        w.write((await r.readline()).upper()); await w.drain(); w.close()
    s = await asyncio.start_server(h, '127.0.0.1', 0); p = s.sockets[0].getsockname()[1]
    r, w = await asyncio.open_connection('127.0.0.1', p); w.write(b'hello\\n'); await w.drain(); print(await r.readline()); w.close(); s.close()
    pr = await asyncio.create_subprocess_exec('echo', 'sub', stdout=asyncio.subprocess.PIPE); print((await pr.communicate())[0])
if __name__ == '__main__':
    q = queue.Queue(); ts = [threading.Thread(target=lambda i=i: q.put(i)) for i in range(20)]
    [t.start() for t in ts]; [t.join() for t in ts]; print(sorted(q.queue))
    print(subprocess.run(['sh', '-c', 'echo out; echo err >&2; exit 3'], capture_output=True))
    print(asyncio.run(asyncio.wait_for(co(3), 5))); asyncio.run(srv())
    with multiprocessing.Pool(2) as p: print(p.map(sq, range(10)))
    with cf.ProcessPoolExecutor(2) as e: print(sum(e.map(sq, range(100))))
    with cf.ThreadPoolExecutor(4) as e: print(sum(e.map(sq, range(100))))
    db = sqlite3.connect('x.db'); db.execute('create table t(a,b)'); db.executemany('insert into t values(?,?)', [(i, str(i)) for i in range(1000)]); db.commit()
    print(db.execute('select sum(a), count(*) from t where b like "1%"').fetchone()); db.close()
    a, b = socket.socketpair(); a.sendall(b'x' * 100000 if False else b'x' * 1000); print(len(b.recv(5000)))
    m = mmap.mmap(-1, 8192); m[0:5] = b'hello'
    pid = os.fork()
    if pid == 0: m[0:5] = b'child'; os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), m[0:5])
    signal.signal(signal.SIGALRM, lambda s, f: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.2)
    r, w = os.pipe(); os.write(w, b'z'); print(select.select([r], [], [], 1)[0] == [r])
    with tempfile.TemporaryDirectory(dir='.') as d: open(os.path.join(d, 'f'), 'w').write('x'); print(os.listdir(d))
    ctx = multiprocessing.get_context('spawn'); qq = ctx.Queue(); p = ctx.Process(target=qq.put, args=(5,)); p.start(); print(qq.get()); p.join(); print(p.exitcode)
E
python3 t.py`,
  },
  {
    name: 'node: fs, child_process, worker_threads, http on loopback',
    needs: ['node'],
    timeoutMs: 120_000,
    script: `cat > t.cjs <<'E'
const fs = require('fs'), cp = require('child_process'), http = require('http'), { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.on('message', (m) => { parentPort.postMessage(m * 2); process.exit(0); }); } else (async () => {
  fs.writeFileSync('a', 'hello'); await fs.promises.appendFile('a', ' world'); console.log(fs.readFileSync('a', 'utf8'), fs.statSync('a').size);
  console.log(cp.execSync('echo $((1+2))').toString().trim());
  await new Promise((r) => cp.spawn('sh', ['-c', 'cat; exit 5'], { stdio: ['pipe', 'inherit', 'inherit'] }).on('close', (c) => { console.log('closed', c); r(); }).stdin.end('via stdin\\n'));
  await new Promise((r) => { const w = new Worker(__filename); w.on('message', (m) => console.log('worker', m)); w.on('exit', r); w.postMessage(21); });
  await new Promise((r) => { const s = http.createServer((q, a) => a.end('you asked ' + q.url)).listen(0, '127.0.0.1', () => http.get({ port: s.address().port, host: '127.0.0.1', path: '/x' }, (res) => { let b = ''; res.on('data', (d) => (b += d)); res.on('end', () => { console.log(res.statusCode, b); s.close(r); }); })); });
  const w = fs.watch('.', (e, f) => { console.log('watch', f); w.close(); }); setTimeout(() => fs.writeFileSync('watched', ''), 50);
})();
E
node t.cjs`,
  },
  {
    name: 'gcc and make -j2 of 30 C files',
    needs: ['gcc', 'make'],
    timeoutMs: 180_000,
    script: `
for i in $(seq 1 30); do printf '#include <stdio.h>\\n#include <string.h>\\nint f%d(int x) { char b[32]; snprintf(b, sizeof b, "%%d", x); return strlen(b) + %d; }\\n' $i $i > f$i.c; done
{ echo '#include <stdio.h>'; for i in $(seq 1 30); do echo "int f$i(int);"; done; echo 'int main(void) { int s = 0;'; for i in $(seq 1 30); do echo "s += f$i($i);"; done; echo 'printf("%d\\n", s); return 0; }'; } > main.c
printf 'OBJ := $(patsubst %%.c,%%.o,$(wildcard *.c))\\nprog: $(OBJ)\\n\\tgcc -o $@ $^\\n%%.o: %%.c\\n\\tgcc -O1 -c -o $@ $<\\n' > Makefile
make -s -j2 && ./prog; make -s -q; echo uptodate $?; touch f3.c; make -n | wc -l; ls *.o | wc -l`,
  },
  {
    name: 'git: init, add, commit, branch, merge, clone, gc',
    needs: ['git'],
    timeoutMs: 120_000,
    script: `
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_GLOBAL=$PWD/gc HOME=$PWD
git config --global user.email a@b.c; git config --global user.name n; git config --global init.defaultBranch main; git config --global gc.auto 0
git init -q r; cd r; for i in $(seq 1 100); do echo "file $i" > f$i; done; git add .; git commit -qm one; git checkout -qb side; echo x >> f1; git commit -qam two
git checkout -q main; echo y >> f2; git commit -qam three; git merge -q side -m merged; git log --format='%h %s' | cat; git status --short | wc -l
cd ..; git clone -q r c; cd c; git gc -q; git fsck 2>&1 | grep -v dangling | wc -l; git log --oneline | wc -l; git diff HEAD~1 --stat | tail -1; ls | wc -l`,
  },
  {
    name: 'FUSE: bindfs, fuse-overlayfs, squashfuse and programs on them',
    needs: ['bindfs', 'fuse-overlayfs', 'squashfuse', 'mksquashfs', 'fusermount3', 'unshare', 'sqlite3'],
    script: `cat > inside <<'E'
mkdir src m; echo one > src/one; ln -s one src/link; cp /bin/ls src/prog
bindfs src m || exit 1
cat m/one m/link; echo two > m/two; cat src/two; m/prog m; ls -l m/one | cut -c1-10
cp -r /usr/share/perl5/Debconf m/ && diff -r /usr/share/perl5/Debconf src/Debconf && find m/Debconf -type f | wc -l | tr -d 0-9
tar cf - -C m Debconf | tar xf - -C src --one-top-level=again && diff -r src/again/Debconf m/Debconf && echo same
sqlite3 m/x.db 'create table t(a); insert into t values(1),(2); select sum(a) from t; pragma integrity_check'
head -c 3000000 /dev/urandom > m/big; cmp m/big src/big && echo same; truncate -s 1000 m/big; stat -c %s src/big
mv m/two m/three; rm m/one; mkdir m/d; rmdir m/Debconf; rm -r m/Debconf m/again; ls -A src
cd m; fusermount3 -u ../m 2> /dev/null; echo $?; cd ..; fusermount3 -u m; echo $?; ls -A m
mkdir lo up wk; echo low > lo/a; echo gone > lo/b
fuse-overlayfs -o lowerdir=lo,upperdir=up,workdir=wk m || exit 1
cat m/a; echo new > m/a; rm m/b; mkdir m/d; mv m/a m/d/; ls m m/d; cat m/d/a lo/a; fusermount3 -u m
mksquashfs /usr/share/perl5/Debconf img -quiet -no-progress > /dev/null
squashfuse img m || exit 1
diff -r m /usr/share/perl5/Debconf && echo same; touch m/x; fusermount3 -u m
E
unshare -m bash inside 2>&1 | grep -v lazytime`,
  },
  {
    // The C library has been patched by then, on systrap.
    name: 'valgrind',
    needs: ['valgrind', 'gcc'],
    timeoutMs: 120_000,
    script: `for i in 1 2 3; do ls -lR /usr/share/perl5 > /dev/null; done
printf '#include <stdlib.h>\nint main(void) { char *p = malloc(10); return p[10] != 0; }\n' > a.c; gcc -g -o a a.c
valgrind -q ls -d /; echo $?; valgrind -q --error-exitcode=9 ./a 2>&1 | grep -c 'Invalid read'; valgrind -q --error-exitcode=9 ./a 2> /dev/null; echo $?`,
  },
  {
    name: 'sqlite3',
    needs: ['sqlite3'],
    script: `
sqlite3 x.db 'pragma journal_mode=wal; create table t(a integer primary key, b text); with recursive c(n) as (select 1 union all select n+1 from c where n < 5000) insert into t select n, hex(n) from c;'
sqlite3 x.db 'select count(*), sum(a), max(b) from t; create index i on t(b); pragma integrity_check; vacuum;'
(sqlite3 x.db 'update t set b = "p" where a % 2;' & sqlite3 -cmd '.timeout 5000' x.db 'update t set b = "q" where a % 3 = 0;' & wait); sqlite3 x.db 'pragma integrity_check;'; ls x.db`,
  },
  {
    name: 'openssl',
    needs: ['openssl'],
    script: `
echo secret > m; openssl enc -aes-256-cbc -pbkdf2 -k pw -in m -out e; openssl enc -d -aes-256-cbc -pbkdf2 -k pw -in e; openssl dgst -sha256 m
openssl genrsa -out k 2048 2>/dev/null; openssl rsa -in k -pubout -out p 2>/dev/null; openssl dgst -sha256 -sign k -out s m; openssl dgst -sha256 -verify p -signature s m
openssl req -x509 -newkey rsa:2048 -nodes -keyout a -out c -days 1 -subj /CN=x 2>/dev/null; openssl x509 -in c -noout -subject
openssl s_server -accept 127.0.0.1:44330 -key a -cert c -quiet -www >/dev/null 2>&1 & sleep 0.5; echo | timeout 5 openssl s_client -connect 127.0.0.1:44330 2>/dev/null | grep -c 'BEGIN CERT'; kill %1`,
  },
  {
    name: 'redis-server with redis-benchmark',
    needs: ['redis-server', 'redis-cli', 'redis-benchmark'],
    timeoutMs: 120_000,
    script: `
redis-server --port 7379 --dir . --save '' --appendonly yes --daemonize no > log 2>&1 & for i in $(seq 1 50); do redis-cli -p 7379 ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done
redis-cli -p 7379 set a 1; redis-cli -p 7379 incr a; redis-cli -p 7379 lpush l x y z; redis-cli -p 7379 lrange l 0 -1; redis-cli -p 7379 bgsave; sleep 0.5; ls dump.rdb
redis-benchmark -p 7379 -n 2000 -c 10 -q -t set,get,lpush 2>/dev/null | tr '\\r' '\\n' | grep -c 'requests per second.*p50'
redis-cli -p 7379 dbsize; redis-cli -p 7379 shutdown nosave; wait; grep -c 'bye bye' log`,
  },
  {
    name: 'nginx with curl',
    needs: ['nginx', 'curl'],
    timeoutMs: 120_000,
    script: `
mkdir -p www logs; echo hello > www/i.html; head -c 300000 /dev/zero | tr '\\0' a > www/big
cat > n.conf <<E
worker_processes 2; daemon on; pid $PWD/n.pid; error_log $PWD/logs/e; events { worker_connections 64; }
http { access_log $PWD/logs/a; client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s;
server { listen 127.0.0.1:8081; root $PWD/www; location /p/ { proxy_pass http://127.0.0.1:8081/; } } }
E
chmod 755 . www; nginx -p $PWD -c n.conf -e logs/e; sleep 0.3; curl -s http://127.0.0.1:8081/i.html; curl -s http://127.0.0.1:8081/p/i.html; curl -s http://127.0.0.1:8081/big | md5sum; curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8081/nope
for i in 1 2 3 4 5; do curl -s http://127.0.0.1:8081/big & done | wc -c; wait; nginx -p $PWD -c n.conf -s quit; sleep 0.5; wc -l < logs/a; ls n.pid 2>/dev/null | wc -l`,
  },
  {
    name: 'go: goroutines and net/http',
    needs: ['go'],
    slow: true,
    timeoutMs: 300_000,
    script: `
export HOME=$PWD GOPATH=$PWD/go GOFLAGS=-mod=mod GOCACHE=$PWD/cache GO111MODULE=off; cat > m.go <<'E'
package main
import ("fmt"; "io"; "net"; "net/http"; "sync"; "os"; "os/exec"; "time"; "runtime")
func main() {
  var wg sync.WaitGroup; var mu sync.Mutex; s := 0
  for i := 0; i < 1000; i++ { wg.Add(1); go func(i int) { defer wg.Done(); runtime.Gosched(); mu.Lock(); s += i; mu.Unlock() }(i) }
  wg.Wait(); fmt.Println(s)
  l, _ := net.Listen("tcp", "127.0.0.1:0"); go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hi ", r.URL.Path) }))
  for i := 0; i < 20; i++ { r, err := http.Get("http://" + l.Addr().String() + "/x"); if err != nil { fmt.Println(err); os.Exit(1) }; b, _ := io.ReadAll(r.Body); r.Body.Close(); if i == 0 { fmt.Println(string(b)) } }
  o, err := exec.Command("echo", "sub").Output(); fmt.Print(string(o), err, "\\n"); t := time.NewTimer(50 * time.Millisecond); <-t.C; runtime.GC(); fmt.Println("done")
}
E
go build -o m m.go && ./m`,
  },
  {
    name: 'java: threads and garbage collection',
    needs: ['java', 'javac'],
    slow: true,
    timeoutMs: 300_000,
    script: `
cat > M.java <<'E'
import java.util.*; import java.util.concurrent.*; import java.net.*; import java.io.*; import java.nio.file.*;
public class M { public static void main(String[] a) throws Exception {
  ExecutorService e = Executors.newFixedThreadPool(8); List<Future<Long>> f = new ArrayList<>();
  for (int i = 0; i < 50; i++) { final int n = i; f.add(e.submit(() -> { List<byte[]> l = new ArrayList<>(); long s = 0; for (int k = 0; k < 200; k++) { l.add(new byte[10000]); if (l.size() > 50) l.clear(); s += k * n; } return s; })); }
  long t = 0; for (Future<Long> x : f) t += x.get(); System.out.println(t); e.shutdown(); System.gc();
  ServerSocket ss = new ServerSocket(0, 5, InetAddress.getLoopbackAddress()); new Thread(() -> { try (Socket s = ss.accept()) { s.getOutputStream().write("hello\\n".getBytes()); } catch (IOException x) { x.printStackTrace(); } }).start();
  try (Socket s = new Socket(InetAddress.getLoopbackAddress(), ss.getLocalPort())) { System.out.println(new BufferedReader(new InputStreamReader(s.getInputStream())).readLine()); }
  Files.writeString(Path.of("f"), "text"); System.out.println(Files.readString(Path.of("f")) + Files.size(Path.of("f")));
  Process p = new ProcessBuilder("sh", "-c", "echo sub; exit 3").redirectErrorStream(true).start(); System.out.print(new String(p.getInputStream().readAllBytes())); System.out.println(p.waitFor());
} }
E
javac M.java && java -Xmx128m M`,
  },
  {
    name: 'gdb: hardware watchpoints and breakpoints',
    needs: ['gdb', 'cc'],
    platform: 'ptrace',
    script: `cat > g.c <<'E'
int counter;
__attribute__((noinline)) int bump(int by) { counter += by; return counter; }
int main(void) { for (int i = 1; i <= 3; i++) bump(i); return counter; }
E
cc -g -O0 -o g g.c
gdb -q -batch -ex 'break main' -ex run -ex 'watch counter' -ex continue -ex continue -ex 'delete 2' -ex 'rwatch counter' \\
  -ex continue -ex 'delete 3' -ex 'hbreak bump' -ex continue -ex 'print by' -ex 'delete 4' -ex continue ./g > out 2>&1
grep '^Old\\|^New\\|^Val\\|Hardware\\|^\\$\\|^Break\\|exited' out | sed 's/ at .*//; s/process [0-9]*/process/'`,
  },
  {
    name: 'script, stty and less on a pty',
    needs: ['script', 'stty', 'less'],
    script: `
script -qec 'stty size; stty -a | grep -c "isig icanon"; tty | grep -c pts' /dev/null < /dev/null | tr -d '\\r' | tail -2
python3 - <<'E'
import pty, os, sys
pid, fd = pty.fork()
if pid == 0: os.execvp('sh', ['sh', '-c', 'read x; echo "got $x"; stty -echo; read y; echo "and $y"'])
os.write(fd, b'one\\ntwo\\n'); out = b''
try:
    while True:
        b = os.read(fd, 1000)
        if not b: break
        out += b
except OSError: pass
print(sorted(l for l in out.replace(b'\\r', b'').split(b'\\n') if l.startswith((b'got', b'and')))); print(os.waitpid(pid, 0)[1])
E
seq 100 > n; script -qec 'TERM=dumb less -E -X n | tail -1' /dev/null < /dev/null | tr -d '\\r' | tail -1`,
  },
];
