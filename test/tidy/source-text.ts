/**
 * Just enough of a reader of TypeScript for our lints: the code without comments and strings, its imports, and where its
 * functions begin and end. Not a parser; what it may miss is a strange way to write things that we do not use.
 */

/** The text with every comment, string and regular expression blanked out; lines stay where they are. */
export function codeOnly(text: string): string {
  let code = ''
  let index = 0
  const templates: number[] = []
  let depth = 0
  const blank = (end: number): void => {
    code += text.slice(index, end).replace(/[^\n]/g, ' ')
    index = end
  }
  while (index < text.length) {
    const char = text[index] ?? ''
    if (text.startsWith('//', index)) blank(endOf(text, index, /\n/g, 0))
    else if (text.startsWith('/*', index)) blank(endOf(text, index + 2, /\*\//g, 2))
    else if (char === "'" || char === '"') blank(endOf(text, index + 1, char === "'" ? /\\.|'/gs : /\\.|"/gs, 1))
    else if (char === '/' && !isTagSlash(text, index) && startsRegex(code))
      blank(endOf(text, index + 1, /\\.|\[(?:\\.|[^\]])*\]|\//gs, 1, '/'))
    else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop()
      const end = endOf(text, index + 1, /\\.|`|\$\{/gs, 1)
      if (text[end - 1] === '{' || text.startsWith('${', end - 1)) {
        templates.push(depth)
        blank(text[end - 1] === '{' ? end : end + 1)
      } else blank(end)
    } else {
      if (char === '{') depth++
      if (char === '}') depth--
      code += char
      index++
    }
  }
  return code
}

export interface ImportedModule {
  readonly specifier: string
  readonly line: number
  readonly isTypeOnly: boolean
}

/** Static and dynamic imports, re-exports and `import('…')` types. */
export function importsOf(text: string): ImportedModule[] {
  const found: ImportedModule[] = []
  const pattern =
    /^\s*(import|export)(\s+type)?\b[^'"`;]*?from\s*'([^']+)'|^\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm
  for (const match of text.matchAll(pattern)) {
    const specifier = match[3] ?? match[4] ?? match[5] ?? ''
    const start = match.index + match[0].length - match[0].trimStart().length
    found.push({ specifier, line: lineAt(text, start), isTypeOnly: match[2] !== undefined })
  }
  return found
}

export interface FunctionText {
  readonly line: number
  readonly lines: readonly string[]
}

/** Every function with a block body, nested ones too, without its signature. */
export function functionsOf(code: string): FunctionText[] {
  const open: { index: number; isFunction: boolean }[] = []
  const found: FunctionText[] = []
  for (let index = 0; index < code.length; index++) {
    if (code[index] === '{') open.push({ index, isFunction: opensFunction(code.slice(0, index)) })
    if (code[index] !== '}') continue
    const block = open.pop()
    if (block?.isFunction !== true) continue
    found.push({ line: lineAt(code, block.index), lines: code.slice(block.index, index + 1).split('\n') })
  }
  return found
}

export function lineAt(text: string, index: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) line++
  return line
}

/** Skips matches that are escapes or bracket classes; `extra` characters belong to the end itself. */
function endOf(text: string, from: number, pattern: RegExp, extra: number, only?: string): number {
  pattern.lastIndex = from
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    if (match[0].startsWith('\\') || (only !== undefined && match[0] !== only)) continue
    return match.index + extra
  }
  return text.length
}

/** Of `</p>` and `<br />`. */
function isTagSlash(text: string, index: number): boolean {
  return text[index - 1] === '<' || text[index + 1] === '>'
}

function startsRegex(before: string): boolean {
  const last = before.trimEnd()
  return last === '' || /[(,=:[!&|?{};+<>]$/.test(last) || /\b(return|case|typeof)$/.test(last)
}

const control = /\b(if|for|while|switch|catch|with)$/

/** `) {`, `): Type {` or `=> {`, unless the parenthesis belongs to a control statement. */
function opensFunction(before: string): boolean {
  const head = before.slice(-600).trimEnd()
  if (head.endsWith('=>')) return true
  const close = /\)(\s*:\s*(?:[^(){};=]|=>|\{[^{}]*\}|\([^()]*\))+)?$/.exec(head)
  if (close === null || /\b(class|interface|export)\b/.test(close[0])) return false
  let depth = 0
  for (let index = close.index; index >= 0; index--) {
    if (head[index] === ')') depth++
    if (head[index] === '(' && --depth === 0) return !control.test(head.slice(0, index).trimEnd())
  }
  return true
}
