# needs: tmux vim expect
# seconds: 120
export TERM=xterm LC_ALL=C.UTF-8; printf 'one\ntwo\nthree\n' > f; vim -u NONE -es -c '%s/two/2/' -c 'normal Gofour' -c 'wq' f; cat f
script -qec "vim -u NONE -n f -c 'normal ggOzero' -c 'wq'" /dev/null < /dev/null > /dev/null; echo $?; cat f
tmux -L t -f /dev/null new-session -d -x 80 -y 24 'PS1="\$ " exec bash --norc --noprofile'; for i in $(seq 100); do tmux -L t capture-pane -p | grep -q '^\$' && break; sleep 0.1; done
tmux -L t send-keys 'echo a$((1+1))b; stty size' Enter; for i in $(seq 100); do tmux -L t capture-pane -p | grep -q '^2[34] 80' && break; sleep 0.1; done; tmux -L t capture-pane -p | grep -v '^$'
tmux -L t split-window 'exec sleep 100'; for i in $(seq 100); do tmux -L t list-panes -F '#{pane_current_command}' | grep -q sleep && break; sleep 0.1; done; tmux -L t list-panes -F '#{pane_width}x#{pane_height} #{pane_current_command}'; tmux -L t kill-pane -t 1; tmux -L t resize-window -x 100 -y 30; tmux -L t send-keys 'clear; stty size; sleep 100' Enter; for i in $(seq 100); do tmux -L t capture-pane -p | grep -q '100$' && break; sleep 0.1; done; tmux -L t send-keys C-z; for i in $(seq 100); do tmux -L t capture-pane -p | grep -q Stopped && break; sleep 0.1; done; tmux -L t send-keys 'jobs; fg' Enter; sleep 1; tmux -L t send-keys C-c; sleep 1; tmux -L t send-keys 'echo st $?' Enter; for i in $(seq 100); do tmux -L t capture-pane -p | grep -q 'st 130' && break; sleep 0.1; done; tmux -L t capture-pane -p | grep -v '^$' | grep -E 'Stopped|st 130' | sort -u
tmux -L t kill-server; echo $?
cat > e.exp <<'X'
set timeout 20; log_user 0
spawn bash --norc --noprofile
expect "\\$ "; send "cat\r"; send "hello\r"; expect "hello\r\nhello"; send "\003"; expect "\\$ "; send "echo R\$?\r"; expect -re {R130} { puts "interrupted" }
send "sleep 100\r"; sleep 0.3; send "\032"; expect "Stopped" { puts "stopped" }; send "bg\r"; expect "&"; send "kill %1; wait; echo W\$?\r"; expect -re {W\d+} { puts "waited" }
send "stty -echo; read -s x; stty echo; echo got:\$x\r"; sleep 0.3; send "secret\r"; expect "got:secret" { puts "password" }
send "less -R /etc/passwd\r"; expect "root"; send "/nobody\r"; sleep 0.2; send "q"; send "echo L\$?\r"; expect "L0" { puts less }
send "exit 3\r"; expect eof; puts [lindex [wait] 3]
X
expect e.exp; seq 1000 > n; script -qec 'less -X n' /dev/null <<< 'G q' > out; grep -c . out | sed 's/.*/less ok/'; script -qec 'top -b -n 1 | head -1 | cut -c1-5' /dev/null < /dev/null | tr -d '\r'
