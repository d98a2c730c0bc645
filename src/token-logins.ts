/** Logins by token as a part of a node: what of the configuration they need. Loaded by nodes that take tokens only. */
import type { Clock } from './base/clock.ts'
import { fetchText } from './base/fetch-text.ts'
import type { Files } from './base/files.ts'
import type { Logger } from './base/logger.ts'
import { readText } from './base/read-text.ts'
import type { TokenVerifier } from './broker/access/tokens.ts'
import type { Config } from './config.ts'
import { JwtVerifier } from './oauth/jwt-verifier.ts'
import { fixedKeys, type KeySource } from './oauth/key-source.ts'
import { RemoteKeys } from './oauth/remote-keys.ts'
import { StartError } from './start-error.ts'

interface TokenWorld {
  readonly clock: Clock
  readonly files: Files
  readonly logger: Logger
}

/** Of the file with keys, in bytes. */
const keyFileBytesMax = 256 * 1024

/** Rejects with a `StartError` when the file with the keys cannot be used. */
export async function tokenVerifier(config: Config, world: TokenWorld): Promise<TokenVerifier> {
  const { oauthIssuer: issuer, oauthAudience: audience } = config
  return new JwtVerifier({ issuer, audience, keys: await keysOf(config, world), clock: world.clock })
}

async function keysOf(
  { oauthKeysUrl: url, oauthKeyFile: path }: Config,
  { clock, files, logger }: TokenWorld,
): Promise<KeySource> {
  if (url !== 'none') {
    const keys = new RemoteKeys({ url, clock, logger, fetchText })
    keys.begin()
    return keys
  }
  try {
    return await fixedKeys(await readText(files, path, keyFileBytesMax))
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    const mend = 'give the path of a public key as PEM, or of a set of keys as JSON'
    throw new StartError('options', `oauth-key-file = "${path}" cannot be used (${what}); ${mend}`, error)
  }
}
