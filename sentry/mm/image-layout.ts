/** Places of the image, for /proc/PID/stat, brk and prctl(PR_SET_MM). */
export interface ImageLayout {
  startCode: number;
  endCode: number;
  startData: number;
  endData: number;
  startBrk: number;
  startStack: number;
  argStart: number;
  argEnd: number;
  envStart: number;
  envEnd: number;
  /** Auxiliary vector as in /proc/PID/auxv. */
  auxv: Uint8Array;
}

export const EMPTY_LAYOUT: ImageLayout = {
  startCode: 0,
  endCode: 0,
  startData: 0,
  endData: 0,
  startBrk: 0,
  startStack: 0,
  argStart: 0,
  argEnd: 0,
  envStart: 0,
  envEnd: 0,
  auxv: new Uint8Array(0),
};
