/** The webhooks as a part of a node: what it is told of them, and what they need of the world. */
import type { Clock } from './base/clock.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Random } from './base/random.ts'
import { type Resolver, SystemResolver } from './base/resolver.ts'
import type { Broker } from './broker/broker.ts'
import { type Config, readAllowedTargets } from './config.ts'
import { version } from './version.ts'
import { type Allowed, allowedOf } from './webhook/address-check.ts'
import { Webhooks } from './webhook/webhooks.ts'

export interface WebhookWorld {
  readonly machineClock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Default: the machine's. */
  readonly resolver?: Resolver
}

/** Not started yet. */
export function webhooksOf(config: Config, world: WebhookWorld, broker: Broker): Webhooks {
  const { machineClock: clock, random, resolver = new SystemResolver() } = world
  const logger = logOf(world.logger, 'broker')
  const parts = { broker, clock, random, logger, resolver, version }
  return new Webhooks(parts, allowedTargets(config))
}

/** Where they may go besides the internet. */
export function allowedTargets({ webhookAllow }: Config): Allowed {
  return allowedOf(readAllowedTargets(webhookAllow))
}
