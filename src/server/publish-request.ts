import { readUint32 } from '../amqp/byte-reader.ts'
import { expirationOf, headersStart, PropertyFlags, priorityOf, propertyIs, userIdOf } from '../amqp/content-header.ts'
import { decodeFieldValue, type FieldTag, type FieldValue } from '../amqp/field-table.ts'
import { HeaderBits, KnownHeaders } from '../amqp/known-headers.ts'
import { Methods } from '../amqp/methods.generated.ts'
import { ProtocolError, ReplyCodes } from '../amqp/reply-codes.ts'
import { decodeShortString } from '../amqp/short-string.ts'
import type { Principal } from '../broker/commands.ts'
import { deduplicationIdBytesMax } from '../broker/deduplication-id.ts'
import { groupBytesMax, MessageTraits } from '../broker/message-traits.ts'
import { typeName } from '../broker/topology/field-values.ts'
import { directReplyQueue } from './direct-replies.ts'
import { dueAfter, dueAt, invalid } from './due-time.ts'
import { expirationMsOf } from './expiration.ts'

/** Properties of which anything may follow; without them a message is plain, and nothing here is called. */
export const consequentialFlags =
  PropertyFlags.headers |
  PropertyFlags.priority |
  PropertyFlags.replyTo |
  PropertyFlags.expiration |
  PropertyFlags.userId

/**
 * What one publish asks for beyond exchange and key, read from its content header: more routing keys, a direct reply,
 * expiration, priority, delay, group. One object per publisher, used again and again; what it says holds from `read`
 * until the next one.
 *
 * `read` decodes nothing. For most messages with headers it finds nothing either (`isPlain`), and that is all they cost.
 */
export class PublishRequest {
  /** Nothing of what the message says concerns the broker. */
  isPlain = true
  /** The reply is to come to this channel: `reply_to` is the name of the pseudo queue. */
  wantsReply = false
  /** Keys of CC and BCC, in this order. */
  moreKeys: readonly string[] = noKeys
  readonly #headers = new KnownHeaders()
  readonly #traits = new MessageTraits()
  #buffer: Uint8Array = new Uint8Array(0)
  #start = 0
  #end = 0
  #flags = 0
  #priority = 0

  /** Looks at the header payload `buffer[start..end)`, which has these `PropertyFlags`. */
  read(buffer: Uint8Array, start: number, end: number, flags: number): void {
    this.#buffer = buffer
    this.#start = start
    this.#end = end
    this.#flags = flags
    this.moreKeys = noKeys
    this.#headers.found = 0
    if ((flags & PropertyFlags.headers) !== 0) {
      const at = headersStart(buffer, start, end)
      this.#headers.scan(buffer, at, at + readUint32(buffer, at - 4))
    }
    this.wantsReply =
      (flags & PropertyFlags.replyTo) !== 0 && propertyIs(buffer, start, end, PropertyFlags.replyTo, replyQueueBytes)
    this.#priority = (flags & PropertyFlags.priority) === 0 ? 0 : priorityOf(buffer, start, end)
    this.isPlain =
      this.#headers.found === 0 &&
      !this.wantsReply &&
      this.#priority === 0 &&
      (flags & (PropertyFlags.expiration | PropertyFlags.userId)) === 0
  }

  get hasBcc(): boolean {
    return (this.#headers.found & HeaderBits.BCC) !== 0
  }

  /** One of the known headers; null when it is not there. `bit` is one of `HeaderBits`. */
  header(bit: number): FieldValue | null {
    const at = this.#headers.valueAt(bit)
    return at < 0 ? null : decodeFieldValue(this.#buffer, at)
  }

  /**
   * Checks, in RabbitMQ's order, the expiration and the types of CC and BCC, and then what is Warren's own; fills
   * `moreKeys`. Returns the traits, valid until the next `read`; null when there are none. Throws 406.
   */
  check(now: number): MessageTraits | null {
    const traits = this.#traits
    traits.clear()
    traits.priority = this.#priority
    if ((this.#flags & PropertyFlags.expiration) !== 0) {
      traits.expirationMs = expirationMsOf(expirationOf(this.#buffer, this.#start, this.#end) ?? '')
    }
    if (this.#headers.found !== 0) this.#checkHeaders(traits, now)
    const hasWish = traits.priority > 0 || traits.expirationMs !== null || traits.dueAt > 0 || traits.group !== ''
    return hasWish || traits.blindKeys.length > 0 ? traits : null
  }

  /** Throws 406 for the user id of somebody else. */
  checkUserId({ username, tags }: Principal): void {
    if ((this.#flags & PropertyFlags.userId) === 0) return
    const userId = userIdOf(this.#buffer, this.#start, this.#end)
    if (userId === username || tags.includes('impersonator')) return
    throw failure(`user_id property set to '${userId}' but authenticated user was '${username}'`)
  }

  #checkHeaders(traits: MessageTraits, now: number): void {
    const { found } = this.#headers
    if ((found & (HeaderBits.CC | HeaderBits.BCC)) !== 0) {
      traits.blindKeys = this.#keys('BCC')
      this.moreKeys = [...this.#keys('CC'), ...traits.blindKeys]
    }
    const delay = this.header(HeaderBits['x-delay'])
    const deliverAt = this.header(HeaderBits['x-deliver-at'])
    if (deliverAt !== null) traits.dueAt = dueAt(deliverAt, now)
    else if (delay !== null) traits.dueAt = dueAfter(delay, now)
    if ((found & HeaderBits['x-group']) !== 0) traits.group = this.#group()
    if ((found & HeaderBits['x-deduplication-header']) !== 0) this.#checkDeduplicationHeader()
  }

  /** As in RabbitMQ, what is no string in the array is passed over. */
  #keys(name: 'CC' | 'BCC'): string[] {
    const field = this.header(HeaderBits[name])
    if (field === null) return []
    if (field.tag !== 'A') {
      throw failure(`invalid message: {unacceptable_type_in_header,"${name}",${typeName(field.tag)}}`)
    }
    return field.value.flatMap((item) => (item.tag === 'S' ? [item.value] : []))
  }

  #group(): string {
    const at = this.#headers.valueAt(HeaderBits['x-group'])
    const bytes = this.#stringBytes('x-group', at)
    if (bytes < 1 || bytes > groupBytesMax)
      throw invalid('x-group', `${bytes} bytes, 1 to ${groupBytesMax} are possible`)
    const group = decodeShortString(this.#buffer, at + 5, at + 5 + bytes)
    if (/\p{Cs}/u.test(group)) throw invalid('x-group', 'not UTF-8')
    return group
  }

  #checkDeduplicationHeader(): void {
    const at = this.#headers.valueAt(HeaderBits['x-deduplication-header'])
    if (wholeNumberTags.includes(this.#tagAt(at))) return
    const bytes = this.#stringBytes('x-deduplication-header', at)
    if (bytes <= deduplicationIdBytesMax) return
    throw invalid('x-deduplication-header', `${bytes} bytes, at most ${deduplicationIdBytesMax} are possible`)
  }

  /** How long the string is whose value begins at `at`. */
  #stringBytes(name: string, at: number): number {
    const tag = this.#tagAt(at)
    if (tag !== 'S') throw invalid(name, `{unacceptable_type,${typeName(tag)}}`)
    return readUint32(this.#buffer, at + 1)
  }

  #tagAt(at: number): FieldTag {
    return String.fromCharCode(this.#buffer[at] as number) as FieldTag
  }
}

const noKeys: readonly string[] = []
const replyQueueBytes = new TextEncoder().encode(directReplyQueue)
const wholeNumberTags: readonly FieldTag[] = ['b', 'B', 's', 'u', 'I', 'i', 'l', 'L']

function failure(text: string): ProtocolError {
  return new ProtocolError(ReplyCodes.PreconditionFailed, text, Methods.BasicPublish)
}
