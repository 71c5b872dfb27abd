# needs: git
# seconds: 90
export GIT_CONFIG_NOSYSTEM=1 HOME=$PWD; git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main; git config --global safe.directory '*'
mkdir -p srv/cgi-bin work; git init -q --bare srv/r.git
printf '#!/bin/sh\nexport GIT_PROJECT_ROOT=%s GIT_HTTP_EXPORT_ALL=1\nexec git http-backend\n' $PWD/srv > srv/cgi-bin/git; chmod +x srv/cgi-bin/git
(cd work; git init -q; for i in $(seq 200); do echo "file $i" > f$i; done; git add .; git commit -qm one; for i in 1 2 3; do echo $i >> f$i; git commit -qam c$i; done; git push -q ../srv/r.git main)
cat > s.py <<'X'
import http.server, os
class H(http.server.CGIHTTPRequestHandler):
    def log_message(self, *a): pass
os.chdir('srv'); s = http.server.ThreadingHTTPServer(('127.0.0.1', 8093), H); open('../ready', 'w').write('x'); s.serve_forever()
X
python3 s.py & p=$!; while [ ! -s ready ]; do sleep 0.1; done
timeout 60 git clone -q http://127.0.0.1:8093/cgi-bin/git/r.git c1; echo clone $?; ls c1 | wc -l; git -C c1 log --format=%s | tr '\n' ' '; echo
git -C srv/r.git update-server-info; GIT_SMART_HTTP=0 timeout 60 git clone -q http://127.0.0.1:8093/r.git c2; echo dumb $?; git -C c2 rev-list --count HEAD
timeout 60 git clone -q --depth 2 http://127.0.0.1:8093/cgi-bin/git/r.git c3; git -C c3 rev-list --count HEAD; git -C c1 fsck 2>&1 | wc -l
git daemon --reuseaddr --listen=127.0.0.1 --port=9419 --base-path=$PWD/srv --export-all & d=$!; for i in $(seq 100); do git ls-remote git://127.0.0.1:9419/r.git > refs 2>/dev/null && break; sleep 0.1; done; cut -f2 refs; git clone -q git://127.0.0.1:9419/r.git c4; echo $?; kill $p $d; wait $p; wait $d; echo done
