# serve DIR: sockets of every type in DIR, for ever. use DIR: what a client sees of them, a line each.
import contextlib, os, select, socket, sys, threading

KINDS = {'stream': socket.SOCK_STREAM, 'seqpacket': socket.SOCK_SEQPACKET}


def answer(s):
    """Upper case, until the other side has shut down; then a last word."""
    while True:
        data = s.recv(65536)
        if not data:
            break
        s.sendall(data.upper())
    with contextlib.suppress(BrokenPipeError):
        s.sendall(b'bye')
    s.close()


def accept(listener):
    while True:
        s, _ = listener.accept()
        threading.Thread(target=answer, args=(s,), daemon=True).start()


def serve(top):
    for kind, number in KINDS.items():
        s = socket.socket(socket.AF_UNIX, number)
        s.bind(f'{top}/{kind}')
        s.listen(16)
        threading.Thread(target=accept, args=(s,), daemon=True).start()
    gone = socket.socket(socket.AF_UNIX)
    gone.bind(f'{top}/gone')
    gone.close()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(f'{top}/dgram')
    print('ready', flush=True)
    while True:
        print(log.recv(65536).decode(), flush=True)


def attempt(what, f):
    try:
        print(what, f())
    except OSError as e:
        print(what, os.strerror(e.errno))


def rest(s):
    data = b''
    while True:
        piece = s.recv(65536)
        if not piece:
            return data
        data += piece


def use(top):
    for kind, number in KINDS.items():
        s = socket.socket(socket.AF_UNIX, number)
        attempt(f'{kind}: connect', lambda: s.connect(f'{top}/{kind}'))
        attempt(f'{kind}: again', lambda: s.connect(f'{top}/{kind}'))
        attempt(f'{kind}: peer', lambda: s.getpeername().removeprefix(top))
        attempt(f'{kind}: send', lambda: s.send(b'hello'))
        attempt(f'{kind}: readable', lambda: len(select.select([s], [], [], 30)[0]))
        attempt(f'{kind}: peek', lambda: s.recv(5, socket.MSG_PEEK))
        attempt(f'{kind}: recv', lambda: s.recv(5))
        attempt(f'{kind}: nothing', lambda: s.recv(5, socket.MSG_DONTWAIT))
        attempt(f'{kind}: shutdown', lambda: s.shutdown(socket.SHUT_WR))
        attempt(f'{kind}: send after it', lambda: s.send(b'x', socket.MSG_NOSIGNAL))
        attempt(f'{kind}: last', lambda: rest(s) if kind == 'stream' else s.recv(100))
    big = socket.socket(socket.AF_UNIX)
    attempt('big: connect', lambda: big.connect(f'{top}/stream'))
    sender = threading.Thread(target=lambda: (big.sendall(b'a' * (3 << 20)), big.shutdown(socket.SHUT_WR)))
    sender.start()
    attempt('big: came back', lambda: rest(big) == b'A' * (3 << 20) + b'bye')
    sender.join()
    d = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    attempt('dgram: sendto', lambda: d.sendto(b'to', f'{top}/dgram'))
    attempt('dgram: connect', lambda: d.connect(f'{top}/dgram'))
    attempt('dgram: send', lambda: d.send(b'connected'))
    attempt('dgram: to a stream', lambda: d.sendto(b'to', f'{top}/stream'))
    for name in ('gone', 'absent'):
        attempt(name, lambda: socket.socket(socket.AF_UNIX).connect(f'{top}/{name}'))
    attempt('wrong type', lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(f'{top}/stream'))


{'serve': serve, 'use': use}[sys.argv[1]](sys.argv[2])
