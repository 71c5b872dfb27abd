# needs: /usr/sbin/sshd
# seconds: 90
mkdir -p /run/sshd ~/.ssh; chmod 700 ~/.ssh; rm -f k hk ~/.ssh/authorized_keys; ssh-keygen -q -t ed25519 -N '' -f k; ssh-keygen -q -t ed25519 -N '' -f hk; cp k.pub ~/.ssh/authorized_keys; chmod 600 ~/.ssh/authorized_keys
cat > c <<X
Port 2222
ListenAddress 127.0.0.1
HostKey $PWD/hk
PidFile $PWD/pid
UsePAM no
StrictModes no
PermitRootLogin yes
Subsystem sftp internal-sftp
X
/usr/sbin/sshd -D -f $PWD/c -E log & p=$!
o="-q -i k -p 2222 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"; for i in $(seq 100); do ssh $o root@127.0.0.1 true 2>/dev/null && break; sleep 0.1; done
ssh $o root@127.0.0.1 'echo remote; id -u; cat; exit 5' <<< input; echo status $?
ssh $o -tt root@127.0.0.1 'tty | sed s/[0-9]*$/N/; stty -a | grep -o icanon; echo $TERM' < /dev/null | tr -d '\r'
head -c 300000 /dev/urandom > f; scp -q -P 2222 -i k -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null f root@127.0.0.1:$PWD/g; cmp f g && echo copied; scp -O -q -P 2222 -i k -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1:$PWD/f h; cmp f h && echo back
python3 -m http.server -b 127.0.0.1 8095 > /dev/null 2>&1 & w=$!; ssh $o -N -L 8096:127.0.0.1:8095 root@127.0.0.1 & t=$!; for i in $(seq 50); do curl -sf http://127.0.0.1:8096/k.pub > kk && break; sleep 0.1; done; cmp kk k.pub && echo tunnelled
ssh $o root@127.0.0.1 'kill -TERM $$'; echo killed $?; ssh $o root@127.0.0.1 'seq 100000' | md5sum; kill $w $t $p; wait 2>/dev/null; echo over
