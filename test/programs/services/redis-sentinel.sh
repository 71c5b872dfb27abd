# needs: redis-server redis-cli
# seconds: 90
for p in 7001 7002 7003; do mkdir $p; redis-server --port $p --dir $PWD/$p --daemonize yes --logfile log --pidfile $PWD/$p/pid $([ $p != 7001 ] && echo --replicaof 127.0.0.1 7001) >/dev/null; done
until_() { for i in $(seq 300); do eval "$1" && return; sleep 0.2; done; echo "never: $1"; }
c() { redis-cli -p "$@" 2>/dev/null; }
for p in 7001 7002 7003; do until_ "c $p ping | grep -q PONG"; done; for p in 7002 7003; do until_ "c $p info replication | grep -q 'master_link_status:up'"; done
for i in 1 2 3; do printf "port 2700$i\ndir $PWD\nsentinel monitor m 127.0.0.1 7001 2\nsentinel down-after-milliseconds m 2000\nsentinel failover-timeout m 10000\n" > s$i.conf; redis-server s$i.conf --sentinel --daemonize yes --logfile $PWD/s$i.log >/dev/null; done
for i in 1 2 3; do until_ "c 2700$i sentinel master m | tr '\n' ' ' | grep -q 'num-slaves 2 num-other-sentinels 2'"; done; c 7001 set k v; c 7001 wait 2 10000
kill -9 $(cat 7001/pid); until_ "! c 27001 sentinel get-master-addr-by-name m | grep -q 7001"; c 27001 sentinel get-master-addr-by-name m | head -1; m=$(c 27001 sentinel get-master-addr-by-name m | tail -1); until_ "c $m role | head -1 | grep -q master"; c $m get k; c $m set k2 v2
for i in 1 2 3; do mkdir c$i; redis-server --port 710$i --cluster-enabled yes --dir $PWD/c$i --daemonize yes --logfile log >/dev/null; done; for i in 1 2 3; do until_ "c 710$i ping | grep -q PONG"; done; redis-cli --cluster create 127.0.0.1:7101 127.0.0.1:7102 127.0.0.1:7103 --cluster-yes 2>&1 | grep -c '\[OK\]'; until_ "c 7101 cluster info | grep -q cluster_state:ok";  for i in $(seq 50); do redis-cli -c -p 7101 set key$i $i; done | sort | uniq -c; redis-cli -c -p 7102 get key7; c 7101 script load 'return 1'; redis-cli -c -p 7103 eval 'return redis.call("incr", KEYS[1])' 1 key7
for p in 7002 7003 7101 7102 7103 27001 27002 27003; do c $p shutdown nosave; done; wait; echo end
