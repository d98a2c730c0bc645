/** A value of a headers or arguments table. `undefined` values are left out. */
export type TableValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Date
  | Uint8Array
  | readonly TableValue[]
  | { readonly [key: string]: TableValue }

export type Table = { readonly [key: string]: TableValue }

/** AMQP's basic properties (AMQP 0-9-1 §1.8.1). Short strings have at most 255 bytes. */
export interface MessageProperties {
  readonly contentType?: string | undefined
  readonly contentEncoding?: string | undefined
  readonly headers?: Table | undefined
  /** 1 transient, 2 persistent. */
  readonly deliveryMode?: number | undefined
  /** 0 to 255. */
  readonly priority?: number | undefined
  readonly correlationId?: string | undefined
  readonly replyTo?: string | undefined
  /** Milliseconds, as digits. */
  readonly expiration?: string | undefined
  readonly messageId?: string | undefined
  /** Whole seconds on the wire. */
  readonly timestamp?: Date | undefined
  readonly type?: string | undefined
  readonly userId?: string | undefined
  readonly appId?: string | undefined
}
