# needs: memcached
# seconds: 60
memcached -u nobody -l 127.0.0.1 -p 11300 -U 11300 -t 4 -m 32 & p=$!
cat > m.py <<'X'
import socket, time, threading
for i in range(100):
    try: s = socket.create_connection(('127.0.0.1', 11300)); break
    except OSError: time.sleep(.1)
def cmd(c, end=b'\r\n'):
    s.sendall(c); b = b''
    while not b.endswith(end): b += s.recv(65536)
    return b
print(cmd(b'set a 0 0 5\r\nhello\r\n'), cmd(b'get a\r\n', b'END\r\n'), cmd(b'incr a 1\r\n'), cmd(b'set n 0 0 1\r\n1\r\n'), cmd(b'incr n 41\r\n'))
def w(k):
    c = socket.create_connection(('127.0.0.1', 11300)); f = c.makefile('rb')
    for i in range(100): c.sendall(b'set k%d_%d 0 0 100\r\n%s\r\n' % (k, i, b'x' * 100)); assert f.readline() == b'STORED\r\n'
ts = [threading.Thread(target=w, args=(k,)) for k in range(8)]; [t.start() for t in ts]; [t.join() for t in ts]
st = dict(l.split()[1:3] for l in cmd(b'stats\r\n', b'END\r\n').split(b'\r\n') if l.startswith(b'STAT')); print(st[b'curr_items'], st[b'threads'], st[b'cmd_set'])
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(5); u.sendto(b'\0\1\0\0\0\1\0\0get a\r\n', ('127.0.0.1', 11300)); print(u.recv(1000)[8:])
X
python3 m.py; kill $p; wait $p; echo $?
