/**
 * Network entries of /proc/sys that the namespace only remembers: what they are in a new one (net/ipv4/sysctl_net_ipv4.c,
 * net/ipv4/devinet.c, net/ipv6/addrconf.c, net/core/neighbour.c).
 */
import type { SysctlTree } from './sysctl-variables.ts';

function zeros(names: string): Record<string, number> {
  return Object.fromEntries(names.split(' ').map((n) => [n, 0]));
}

export const CORE: SysctlTree = {
  tstamp_allow_data: 1,
  txrehash: 1,
  xfrm_acq_expires: 30,
  xfrm_aevent_etime: 10,
  xfrm_aevent_rseqth: 2,
  xfrm_larval_drop: 1,
};

export const IPV4: SysctlTree = {
  ...zeros(
    'fib_multipath_hash_policy fib_multipath_hash_seed fib_multipath_use_neigh fib_notify_on_flag_change ' +
      'fwmark_reflect icmp_echo_enable_probe icmp_echo_ignore_all icmp_errors_use_inbound_ifaddr ' +
      'ip_autobind_reuse ip_dynaddr ip_forward ip_forward_use_pmtu ip_no_pmtu_disc ip_nonlocal_bind ' +
      'tcp_abort_on_overflow tcp_child_ehash_entries tcp_fack tcp_fastopen_blackhole_timeout_sec ' +
      'tcp_fwmark_accept tcp_l3mdev_accept tcp_migrate_req tcp_mtu_probing tcp_no_metrics_save ' +
      'tcp_orphan_retries tcp_plb_enabled tcp_reflect_tos tcp_rfc1337 tcp_shrink_window tcp_stdurg ' +
      'tcp_thin_linear_timeouts tcp_workaround_signed_windows udp_child_hash_entries udp_l3mdev_accept',
  ),
  fib_multipath_hash_fields: 7,
  icmp_echo_ignore_broadcasts: 1,
  icmp_ignore_bogus_error_responses: 1,
  icmp_msgs_burst: 50,
  icmp_msgs_per_sec: 1000,
  icmp_ratelimit: 1000,
  icmp_ratemask: 6168,
  igmp_link_local_mcast_reports: 1,
  igmp_max_memberships: 20,
  igmp_max_msf: 10,
  igmp_qrv: 2,
  ip_default_ttl: 64,
  ip_early_demux: 1,
  ip_forward_update_priority: 1,
  ip_unprivileged_port_start: 1024,
  ipfrag_high_thresh: 4194304,
  ipfrag_low_thresh: 3145728,
  ipfrag_max_dist: 64,
  ipfrag_time: 30,
  nexthop_compat_mode: 1,
  raw_l3mdev_accept: 1,
  tcp_adv_win_scale: 1,
  tcp_allowed_congestion_control: 'reno cubic',
  tcp_app_win: 31,
  tcp_autocorking: 1,
  tcp_available_congestion_control: 'reno cubic',
  tcp_backlog_ack_defer: 1,
  tcp_base_mss: 1024,
  tcp_challenge_ack_limit: 2147483647,
  tcp_comp_sack_delay_ns: 1000000,
  tcp_comp_sack_nr: 44,
  tcp_comp_sack_slack_ns: 100000,
  tcp_congestion_control: 'cubic',
  tcp_dsack: 1,
  tcp_early_demux: 1,
  tcp_early_retrans: 3,
  tcp_ecn: 2,
  tcp_ecn_fallback: 1,
  tcp_fastopen: 1,
  tcp_fin_timeout: 60,
  tcp_frto: 2,
  tcp_invalid_ratelimit: 500,
  tcp_keepalive_intvl: 75,
  tcp_keepalive_probes: 9,
  tcp_keepalive_time: 7200,
  tcp_limit_output_bytes: 4194304,
  tcp_max_reordering: 300,
  tcp_max_syn_backlog: 1024,
  tcp_max_tw_buckets: 131072,
  tcp_min_rtt_wlen: 300,
  tcp_min_snd_mss: 48,
  tcp_min_tso_segs: 2,
  tcp_moderate_rcvbuf: 1,
  tcp_mtu_probe_floor: 48,
  tcp_no_ssthresh_metrics_save: 1,
  tcp_notsent_lowat: 4294967295,
  tcp_pacing_ca_ratio: 120,
  tcp_pacing_ss_ratio: 200,
  tcp_pingpong_thresh: 1,
  tcp_plb_cong_thresh: 128,
  tcp_plb_idle_rehash_rounds: 3,
  tcp_plb_rehash_rounds: 12,
  tcp_plb_suspend_rto_sec: 60,
  tcp_probe_interval: 600,
  tcp_probe_threshold: 8,
  tcp_recovery: 1,
  tcp_reordering: 3,
  tcp_retrans_collapse: 1,
  tcp_retries1: 3,
  tcp_retries2: 15,
  tcp_rto_max_ms: 120000,
  tcp_rto_min_us: 200000,
  tcp_sack: 1,
  tcp_slow_start_after_idle: 1,
  tcp_syn_linear_timeouts: 4,
  tcp_syn_retries: 6,
  tcp_synack_retries: 5,
  tcp_syncookies: 1,
  tcp_timestamps: 1,
  tcp_tso_rtt_log: 9,
  tcp_tso_win_divisor: 3,
  tcp_tw_reuse: 2,
  tcp_tw_reuse_delay: 1000,
  tcp_window_scaling: 1,
  udp_early_demux: 1,
  udp_rmem_min: 4096,
  udp_wmem_min: 4096,
  xfrm4_gc_thresh: 32768,
  ip_local_port_range: '32768\t60999',
  ip_local_reserved_ports: '',
  ping_group_range: '1\t0',
  tcp_rmem: '4096\t131072\t6291456',
  tcp_wmem: '4096\t16384\t4194304',
  route: { min_adv_mss: 256, min_pmtu: 552, mtu_expires: 600 },
};

/** net.ipv4.conf.all */
const IPV4_CONF: SysctlTree = {
  ...zeros(
    'accept_local accept_source_route arp_accept arp_announce arp_filter arp_ignore arp_notify bc_forwarding ' +
      'bootp_relay disable_policy disable_xfrm drop_gratuitous_arp drop_unicast_in_l2_multicast ' +
      'force_igmp_version forwarding ignore_routes_with_linkdown log_martians medium_id promote_secondaries ' +
      'proxy_arp proxy_arp_pvlan route_localnet rp_filter src_valid_mark tag',
  ),
  accept_redirects: 1,
  arp_evict_nocarrier: 1,
  igmpv2_unsolicited_report_interval: 10000,
  igmpv3_unsolicited_report_interval: 1000,
  secure_redirects: 1,
  send_redirects: 1,
  shared_media: 1,
};

export const IPV6: SysctlTree = {
  ...zeros(
    'anycast_src_echo_reply bindv6only fib_multipath_hash_policy fib_notify_on_flag_change flowlabel_reflect ' +
      'flowlabel_state_ranges fwmark_reflect ip_nonlocal_bind seg6_flowlabel',
  ),
  auto_flowlabels: 1,
  fib_multipath_hash_fields: 7,
  flowlabel_consistency: 1,
  idgen_delay: 1,
  idgen_retries: 3,
  ioam6_id: 16777215,
  ioam6_id_wide: '72057594037927935',
  ip6frag_high_thresh: 4194304,
  ip6frag_low_thresh: 3145728,
  ip6frag_time: 60,
  max_dst_opts_length: 2147483647,
  max_dst_opts_number: 8,
  max_hbh_length: 2147483647,
  max_hbh_opts_number: 8,
  xfrm6_gc_thresh: 32768,
  icmp: {
    ...zeros('echo_ignore_all echo_ignore_anycast echo_ignore_multicast error_anycast_as_unicast'),
    ratelimit: 100,
    ratemask: '0-1,3-127',
  },
  route: {
    ...zeros('gc_min_interval skip_notify_on_dev_down'),
    gc_elasticity: 9,
    gc_interval: 30,
    gc_min_interval_ms: 500,
    gc_thresh: 1024,
    gc_timeout: 60,
    max_size: 2147483647,
    min_adv_mss: 1220,
    mtu_expires: 600,
  },
};

/** net.ipv6.conf.all */
const IPV6_CONF: SysctlTree = {
  ...zeros(
    'accept_dad accept_ra_from_local accept_ra_min_lft accept_ra_rt_info_max_plen accept_ra_rt_info_min_plen ' +
      'accept_source_route accept_untracked_na addr_gen_mode disable_ipv6 disable_policy ' +
      'drop_unicast_in_l2_multicast drop_unsolicited_na force_mld_version force_tllao forwarding ' +
      'ignore_routes_with_linkdown ioam6_enabled keep_addr_on_down ndisc_notify ndisc_tclass optimistic_dad ' +
      'proxy_ndp ra_honor_pio_life ra_honor_pio_pflag rpl_seg_enabled seg6_enabled seg6_require_hmac ' +
      'use_oif_addrs_only use_optimistic use_tempaddr',
  ),
  accept_ra: 1,
  accept_ra_defrtr: 1,
  accept_ra_min_hop_limit: 1,
  accept_ra_mtu: 1,
  accept_ra_pinfo: 1,
  accept_ra_rtr_pref: 1,
  accept_redirects: 1,
  autoconf: 1,
  dad_transmits: 1,
  enhanced_dad: 1,
  hop_limit: 64,
  ioam6_id: 65535,
  ioam6_id_wide: 4294967295,
  max_addresses: 16,
  max_desync_factor: 600,
  mldv1_unsolicited_report_interval: 10000,
  mldv2_unsolicited_report_interval: 1000,
  mtu: 1280,
  ndisc_evict_nocarrier: 1,
  ra_defrtr_metric: 1024,
  regen_max_retry: 3,
  regen_min_advance: 2,
  router_probe_interval: 60,
  router_solicitation_delay: 1,
  router_solicitation_interval: 4,
  router_solicitation_max_interval: 3600,
  router_solicitations: -1,
  suppress_frag_ndisc: 1,
  temp_prefered_lft: 86400,
  temp_valid_lft: 604800,
};

const NEIGHBOURS: SysctlTree = {
  ...zeros('app_solicit mcast_resolicit'),
  anycast_delay: 100,
  base_reachable_time: 30,
  base_reachable_time_ms: 30000,
  delay_first_probe_time: 5,
  gc_stale_time: 60,
  interval_probe_time_ms: 5000,
  locktime: 100,
  mcast_solicit: 3,
  proxy_delay: 80,
  proxy_qlen: 64,
  retrans_time: 100,
  retrans_time_ms: 1000,
  ucast_solicit: 3,
  unres_qlen: 101,
  unres_qlen_bytes: 212992,
};

/** What an interface has of its own; `all` and `default` are none. */
export function ipv4Conf(name: string): SysctlTree {
  if (name === 'all') return IPV4_CONF;
  const ofLoopback = name === 'lo' ? { disable_policy: 1, disable_xfrm: 1 } : {};
  return { ...IPV4_CONF, accept_source_route: 1, ...ofLoopback };
}

export function ipv6Conf(name: string): SysctlTree {
  if (name === 'all') return IPV6_CONF;
  if (name === 'lo') return { ...IPV6_CONF, accept_dad: -1, mtu: 65536, use_tempaddr: -1 };
  return { ...IPV6_CONF, accept_dad: 1 };
}

export function ipv4Neighbours(): SysctlTree {
  return NEIGHBOURS;
}

export function ipv6Neighbours(): SysctlTree {
  return { ...NEIGHBOURS, locktime: 0, retrans_time: 250 };
}
