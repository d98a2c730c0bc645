/** What fits a webhook: its address, its secrets, its headers. Each refusal is a sentence, and repeats no secret. */
import { isObject } from './definitions/entry.ts'

/** Of an address, in UTF-16 units. */
const urlLengthMax = 2_048

/** Null: it can be pushed to. Which addresses a node may connect to is asked when it does. */
export function whyNoUrl(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return 'url has to be an address such as https://shop.example/hook'
  if (value.length > urlLengthMax) return `url has more than ${urlLengthMax} characters`
  let url: URL
  try {
    url = new URL(value)
  } catch {
    return 'url is no address; give one such as https://shop.example/hook'
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return 'url has to begin with https:// or http://'
  if (url.username !== '' || url.password !== '') {
    return 'url may not hold a user or a password; give headers an authorization instead'
  }
  return url.hash === '' ? null : 'url may have no part behind a #'
}

// ---------------------------------------------------------------- secrets

const secretPrefix = 'whsec_'
/** Of the key, in bytes, as the Standard Webhooks specification has it. */
const [keyBytesMin, keyBytesMax] = [24, 64]

/** Completes a sentence. */
export const secretForm = `has to be ${secretPrefix} and the base64 of ${keyBytesMin} to ${keyBytesMax} random bytes`

export function isSecret(value: unknown): value is string {
  if (typeof value !== 'string' || !value.startsWith(secretPrefix)) return false
  const text = value.slice(secretPrefix.length)
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return false
  const { length } = keyOfSecret(value)
  return length >= keyBytesMin && length <= keyBytesMax
}

/** The bytes that sign. */
export function keyOfSecret(secret: string): Buffer {
  return Buffer.from(secret.slice(secretPrefix.length), 'base64')
}

// ---------------------------------------------------------------- headers

const headersMax = 20
/** Names and values together, in bytes. */
const headerBytesMax = 8 * 1024

/** Said by us, or of the connection and not of the message. */
const ownHeaders: readonly string[] = [
  ...['host', 'connection', 'keep-alive', 'content-length', 'content-type', 'content-encoding', 'transfer-encoding'],
  ...['te', 'trailer', 'upgrade', 'expect', 'proxy-connection', 'proxy-authorization', 'proxy-authenticate'],
  ...['traceparent', 'tracestate', 'user-agent', '__proto__'],
]
const ownPrefixes = /^(webhook-|warren-)/

/** Null: they can be sent. */
export function whyNoHeaders(value: unknown): string | null {
  if (!isObject(value)) return 'headers has to be an object of texts'
  const entries = Object.entries(value)
  if (entries.length > headersMax) return `there may be ${headersMax} headers`
  let bytes = 0
  const names = new Set<string>()
  for (const [given, text] of entries) {
    const name = given.toLowerCase()
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/.test(name)) return `header name ${JSON.stringify(given)} is none`
    if (ownHeaders.includes(name) || ownPrefixes.test(name)) return `header ${name} is not for you to set`
    if (names.has(name)) return `header ${name} is there twice`
    names.add(name)
    if (text === null) return `header ${name} has no text: values are never shown, so give them again, or no headers`
    if (typeof text !== 'string' || !/^[\t\x20-\x7e]*$/.test(text)) {
      return `the value of header ${name} has to be a text of visible ASCII characters`
    }
    bytes += name.length + text.length
  }
  return bytes > headerBytesMax ? `headers may have ${headerBytesMax} bytes together` : null
}
