/** For tests of programs that use a broker: `import { ManualClock } from 'warrenmq/testing'`. */
export { SettlingClock as ManualClock, type SettlingClockOptions as ManualClockOptions } from './base/settling-clock.ts'
