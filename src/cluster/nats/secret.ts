import type { Files } from '../../base/files.ts'
import { errorName, StartError } from '../../start-error.ts'
import { readSmallFile } from './small-file.ts'

/** Of a secret, in characters. */
const lengthMin = 16

export interface SecretSource {
  /** Empty when it is in `secretFile`. */
  readonly secret: string
  readonly secretFile: string | null
}

/** What all nodes know. Throws `StartError`. */
export async function readClusterSecret({ secret, secretFile }: SecretSource, files: Files): Promise<string> {
  if (secretFile === null) return secret
  const mend = `give cluster-secret-file a file with at least ${lengthMin} characters that this user may read`
  let text: string
  try {
    text = (await readSmallFile(files, secretFile)).trim()
  } catch (error) {
    throw new StartError('options', `the secret in ${secretFile} cannot be read (${errorName(error)}); ${mend}`, error)
  }
  if (text.length >= lengthMin) return text
  throw new StartError('options', `the secret in ${secretFile} is too short; ${mend}`)
}
