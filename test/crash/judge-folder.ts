/** Hands the histories of a folder to the checker. */
import { createReadStream, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Checker, type CheckerOptions, type Verdict } from './checker.ts'

/** Publishers first, as the checker wants it. */
export async function judgeFolder(folder: string, options: CheckerOptions = {}): Promise<Verdict> {
  const checker = new Checker(options)
  const files = readdirSync(folder).filter((name) => name.endsWith('.jsonl'))
  const isPublisher = (name: string): boolean => name.startsWith('publish-')
  for (const name of [...files.filter(isPublisher), ...files.filter((name) => !isPublisher(name))]) {
    for await (const line of createInterface({ input: createReadStream(join(folder, name)) })) checker.read(line)
  }
  return checker.verdict()
}
