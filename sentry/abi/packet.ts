/** AF_PACKET (include/uapi/linux/if_packet.h). */
export const SOL_PACKET = 263;

export const PACKET_ADD_MEMBERSHIP = 1;
export const PACKET_DROP_MEMBERSHIP = 2;
export const PACKET_RX_RING = 5;
export const PACKET_STATISTICS = 6;
export const PACKET_AUXDATA = 8;
export const PACKET_ORIGDEV = 9;
export const PACKET_VERSION = 10;
export const PACKET_HDRLEN = 11;
export const PACKET_RESERVE = 12;
export const PACKET_TX_RING = 13;
export const PACKET_LOSS = 14;
export const PACKET_VNET_HDR = 15;
export const PACKET_TIMESTAMP = 17;
export const PACKET_FANOUT = 18;
export const PACKET_TX_HAS_OFF = 19;
export const PACKET_QDISC_BYPASS = 20;
export const PACKET_ROLLOVER_STATS = 21;
export const PACKET_FANOUT_DATA = 22;
export const PACKET_IGNORE_OUTGOING = 23;
export const PACKET_VNET_HDR_SZ = 24;

export const TPACKET_V1 = 0;
export const TPACKET_V2 = 1;
export const TPACKET_V3 = 2;
export const TPACKET_ALIGNMENT = 16;

/** Of frames and blocks to be read. */
export const TP_STATUS_KERNEL = 0;
export const TP_STATUS_USER = 1;
export const TP_STATUS_LOSING = 4;
export const TP_STATUS_VLAN_VALID = 16;
export const TP_STATUS_BLK_TMO = 32;
export const TP_STATUS_VLAN_TPID_VALID = 64;
/** Of frames to be sent. */
export const TP_STATUS_AVAILABLE = 0;
export const TP_STATUS_SEND_REQUEST = 1;
export const TP_STATUS_WRONG_FORMAT = 4;

/** sizeof(struct tpacket_hdr), tpacket2_hdr, tpacket3_hdr, by version. */
export const TPACKET_HEADERS: readonly number[] = [32, 32, 48];
/** sizeof(struct sockaddr_ll) */
export const SOCKADDR_LL = 20;
/** sizeof(struct tpacket_req), tpacket_req3 */
export const TPACKET_REQ = 16;
export const TPACKET_REQ3 = 28;
/** sizeof(struct tpacket_block_desc) */
export const TPACKET_BLOCK_DESC = 48;
/** sizeof(struct tpacket_auxdata) */
export const TPACKET_AUXDATA = 20;
export const TP_FT_REQ_FILL_RXHASH = 1;
