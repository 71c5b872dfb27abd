# nginx with one worker, and curl that fetches 5,000 times 1 KiB and 500 times 64 KiB over 16 connections of loopback.
set -e
rm -rf "$1" && mkdir -p "$1/html" && cd "$1"
head -c 1024 /dev/zero > html/small
head -c 65536 /dev/zero > html/large
chmod -R a+rX .
port=7080
cat > conf <<CONF
daemon off; worker_processes 1; pid $1/pid; error_log $1/errors;
events { worker_connections 256; }
http { access_log off; sendfile on; keepalive_requests 100000; server { listen 127.0.0.1:$port; root $1/html; } }
CONF
nginx -c "$1/conf" -p "$1" 2>/dev/null &
until curl -sf -o small http://127.0.0.1:$port/small; do sleep 0.05; done
get() { curl -sf --no-progress-meter --parallel --parallel-max 16 -o /dev/null "http://127.0.0.1:$port/$1?[1-$2]"; }
get small 5000
get large 500
kill $!
wait
