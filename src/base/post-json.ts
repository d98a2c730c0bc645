/** Sends a document by HTTP and forgets the answer. Certificates are checked; no redirect is followed. */

/** From the request to the head of the answer, in milliseconds. */
const answerMsMax = 10_000

/** Rejects with a sentence unless the answer is one of success, in time. */
export async function postJson(url: string, document: string): Promise<void> {
  const response = await fetch(url, {
    method: 'POST',
    redirect: 'error',
    headers: { 'content-type': 'application/json' },
    body: document,
    signal: AbortSignal.timeout(answerMsMax),
  })
  await response.body?.cancel()
  if (!response.ok) throw new Error(`the answer is ${response.status}`)
}
