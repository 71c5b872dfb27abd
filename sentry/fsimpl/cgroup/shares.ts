/** CPU shares 2…262144 of version 1 → weight 1…10000 of version 2, as runc and systemd convert them. */
export function sharesToWeight(shares: number): number {
  const clamped = Math.min(262_144, Math.max(2, shares));
  return 1 + Math.floor(((clamped - 2) * 9999) / 262_142);
}
