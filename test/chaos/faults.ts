/** All that can be done to a cluster. */
import type { Fault } from './fault.ts'
import { networkFaults } from './network-faults.ts'
import { processFaults } from './process-faults.ts'
import { theftFault } from './theft-fault.ts'

export const faults: readonly Fault[] = [...processFaults, ...networkFaults, theftFault]
