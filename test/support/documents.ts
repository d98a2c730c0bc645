/** Code that documents show, and a way to run it as it stands. */
import { spawn } from 'node:child_process'
import { projectRoot } from './project-root.ts'

/** The contents of all fenced blocks of one language. */
export function blocks(markdown: string, language: string): string[] {
  return Array.from(markdown.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm')), ([, text = '']) => text)
}

/** A block that can be run, and what it prints: the `text` block behind it. */
export interface Program {
  readonly code: string
  readonly output: string | null
}

/** The blocks of a language that are whole modules: those that import what they use. Others are fragments. */
export function programs(markdown: string, language: 'js' | 'ts' = 'js'): Program[] {
  const block = `^\`\`\`${language}\\n(?<code>import [\\s\\S]*?)^\`\`\`$`
  const form = new RegExp(`${block}(?:\\s*^\`\`\`text\\n(?<output>[\\s\\S]*?)^\`\`\`$)?`, 'gm')
  return Array.from(markdown.matchAll(form), ({ groups }) => ({
    code: groups?.['code'] ?? '',
    output: groups?.['output'] ?? null,
  }))
}

/** Run in the checkout, as the README says, so that it finds its packages. */
export function runModule(code: string): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { cwd: projectRoot, timeout: 60_000 })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return new Promise((resolve) => child.once('close', (status) => resolve({ code: status, output })))
}
