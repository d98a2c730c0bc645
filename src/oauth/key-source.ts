/** Where the keys come from with which tokens are checked. */
import type { FlattenedJWSInput, JSONWebKeySet, JWSHeaderParameters } from 'jose'

/** Jose's form of a set of keys: finds the one that a token names. Rejects when there is none. */
export type GetKey = (header: JWSHeaderParameters, token: FlattenedJWSInput) => ReturnType<LocalKeys>

export interface KeySource {
  /** Null: none are to be had, so nobody is let in. */
  current(): Promise<GetKey | null>
  /** Others than those of `current`, if there may be some; null when it is too early to ask, or in vain. */
  renewed(): Promise<GetKey | null>
}

type LocalKeys = ReturnType<typeof import('jose').createLocalJWKSet>

/** Keys of one set. */
export const keysMax = 64

/** Throws a sentence when the text holds no public keys. */
export async function readKeySet(text: string): Promise<GetKey> {
  const { createLocalJWKSet } = await import('jose')
  return createLocalJWKSet(publicKeysOf(documentOf(text)))
}

/** The sentence of the parser would quote what it read. */
function documentOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(text === '' ? 'it is empty' : 'it is no JSON', { cause: error })
  }
}

/** A key that both sides know is no key here, and where a private one is published nothing of it is to be trusted. */
export function publicKeysOf(document: unknown): JSONWebKeySet {
  const keys: unknown = document !== null && typeof document === 'object' && 'keys' in document ? document.keys : null
  if (!Array.isArray(keys)) throw new Error('it is no set of keys (RFC 7517)')
  if (keys.length > keysMax) throw new Error(`it has more than ${keysMax} keys`)
  const isPublic = (key: unknown): boolean =>
    key !== null &&
    typeof key === 'object' &&
    'kty' in key &&
    ['RSA', 'EC', 'OKP'].includes(String(key.kty)) &&
    !('d' in key) &&
    !('k' in key)
  const good = keys.filter(isPublic)
  if (good.length === 0) throw new Error('it has no public key')
  return { keys: good }
}

/** Keys out of a file: a set of them as JSON, or one public key or certificate as PEM. Rejects with a sentence. */
export async function fixedKeys(text: string): Promise<KeySource> {
  const getKey = text.trimStart().startsWith('{') ? await readKeySet(text) : await pemKey(text)
  return { current: () => Promise.resolve(getKey), renewed: () => Promise.resolve(null) }
}

/** Of the algorithms that go with a kind of key, jose takes the one the token names. */
async function pemKey(text: string): Promise<GetKey> {
  const [{ createPublicKey }, { exportJWK, createLocalJWKSet }] = await Promise.all([
    import('node:crypto'),
    import('jose'),
  ])
  if (text.includes('PRIVATE KEY')) throw new Error('it is a private key; tokens are checked with the public one')
  const jwk = await exportJWK(createPublicKey(text))
  const getKey = createLocalJWKSet({ keys: [jwk] })
  // One key is the key, whatever a token calls it.
  return ({ kid: _kid, ...header }, token) => getKey(header, token)
}
