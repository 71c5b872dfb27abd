# needs: nginx ab wrk
# seconds: 90
mkdir -p logs html; seq 20000 > html/big; echo hello > html/index.html
cat > n.conf <<X
daemon off; master_process on; worker_processes 2; pid $PWD/pid; error_log $PWD/logs/err; user root;
events { worker_connections 256; }
http { access_log $PWD/logs/acc; sendfile on; tcp_nopush on; keepalive_timeout 5; aio threads; gzip on; gzip_types *;
 client_body_temp_path $PWD/b; proxy_temp_path $PWD/p; fastcgi_temp_path $PWD/f; uwsgi_temp_path $PWD/u; scgi_temp_path $PWD/s;
 server { listen 127.0.0.1:8091 reuseport; listen [::1]:8091; listen unix:/tmp/ng.sock; root $PWD/html; location /p { proxy_pass http://unix:/tmp/ng.sock:/; } location /st { return 204; } } }
X
nginx -c $PWD/n.conf & p=$!; for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8091/ && break; sleep 0.1; done
curl -s http://127.0.0.1:8091/; curl -s http://127.0.0.1:8091/p/index.html; curl -sg 'http://[::1]:8091/big' | md5sum; curl -s --compressed http://127.0.0.1:8091/big | md5sum; curl -s -r 100-199 http://127.0.0.1:8091/big | md5sum
ab -q -n 500 -c 10 http://127.0.0.1:8091/ | grep -E 'Complete requests|Failed'; ab -q -k -n 500 -c 10 http://127.0.0.1:8091/big | grep -E 'Complete requests|Failed|Keep-Alive'; ab -q -n 200 -c 5 http://127.0.0.1:8091/p/big | grep -E 'Complete|Failed'
wrk -t2 -c20 -d2s http://127.0.0.1:8091/st | grep -cE 'Socket errors|Non-2xx'; nginx -c $PWD/n.conf -s reload; curl -s http://127.0.0.1:8091/; nginx -c $PWD/n.conf -s quit; wait $p; echo $?; test $(wc -l < logs/acc) -gt 1200; echo $?; grep -vc notice logs/err; true
