/** Who is let into a node, as its options say. */
import type { Clock } from './base/clock.ts'
import type { Files } from './base/files.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { ThrottleLimits } from './broker/access/login-throttle.ts'
import type { AccessParts } from './broker/broker-parts.ts'
import type { Config } from './config.ts'

interface AccessWorld {
  readonly machineClock: Clock
  readonly files: Files
  readonly logger: Logger
}

/** What looks at tokens is loaded only where they are taken. */
export async function accessParts(config: Config, world: AccessWorld): Promise<AccessParts> {
  const audit = logOf(world.logger, 'audit')
  const throttle = throttleOf(config)
  if (config.oauthIssuer === 'none') return { audit, throttle }
  const logger = logOf(world.logger, 'broker')
  const { tokenVerifier } = await import('./token-logins.ts')
  return { audit, throttle, tokens: await tokenVerifier(config, { ...world, clock: world.machineClock, logger }) }
}

export function throttleOf({ failuresPerAddressMax, failuresPerUserMax }: Config): ThrottleLimits {
  return { failuresPerAddressMax, failuresPerUserMax }
}
