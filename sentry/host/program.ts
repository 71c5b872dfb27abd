/** The entry of a program that can start from its modules or from a snapshot of them (see at-start.ts). */
import { startupSnapshot } from 'node:v8';
import { buildingSnapshot, runStartOrders } from './at-start.ts';

export function runProgram(main: () => void): void {
  if (!buildingSnapshot) return main();
  startupSnapshot.setDeserializeMainFunction(() => {
    runStartOrders();
    main();
  });
}
