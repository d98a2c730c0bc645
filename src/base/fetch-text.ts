/** Fetches a small text by HTTP. Certificates are checked; no redirect is followed, so nobody else can say where to look. */

/** Of an answer, in bytes. */
const answerBytesMax = 256 * 1024
/** From the request to the end of the answer, in milliseconds. */
const answerMsMax = 5_000

/** Rejects with a sentence unless the answer is 200, whole, in time and no longer than 256 KiB. */
export async function fetchText(url: string): Promise<string> {
  try {
    return await fetched(url)
  } catch (error) {
    throw new Error(whyNot(error), { cause: error })
  }
}

/** What `fetch` rejects with says that it has failed; why stands in its cause. */
function whyNot(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.name === 'TimeoutError') return `no whole answer in ${answerMsMax} ms`
  const { cause } = error
  if (!(cause instanceof Error)) return error.message
  // That of several addresses has a code and no message.
  const why = cause.message !== '' ? cause.message : 'code' in cause ? String(cause.code) : cause.name
  return why === 'unexpected redirect' ? 'the answer is a redirect, which is not followed' : why
}

async function fetched(url: string): Promise<string> {
  const response = await fetch(url, {
    redirect: 'error',
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(answerMsMax),
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`the answer is ${response.status}`)
  }
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of response.body ?? []) {
    length += part.length
    if (length > answerBytesMax) throw new Error(`the answer is longer than ${answerBytesMax} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString()
}
