/** The package's face. What is exported here is kept; everything else is inside. */
export type { Clock, Timer } from './base/clock.ts'
export type { LogFields, Logger } from './base/logger.ts'
export {
  Broker,
  type BrokerLimits,
  type BrokerOptions,
  type EmbeddedConnectOptions,
  type StopOptions,
} from './embedded/broker.ts'
export { StartError } from './start-error.ts'
export { version } from './version.ts'
