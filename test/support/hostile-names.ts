/** Names that a broker takes and pages have stumbled over: markup, what cannot be seen, other directions, every length. */
export const hostileNames: readonly string[] = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(2)</script>',
  "'; alert(3); //",
  '{{constructor.constructor("alert(4)")()}}',
  'javascript:alert(5)',
  'a/b?c=d#e%2F%00&f',
  '\u202etxt.exe\u2066hidden\u200b',
  'שלום عليكم',
  '__proto__',
  ' ',
  '…',
  `${'é'.repeat(127)}a`,
  'w'.repeat(255),
]

/** As the dashboard writes them, in the beginning. */
export function shownStart(name: string): string {
  return Array.from(name, (char) => {
    const code = char.codePointAt(0) ?? 0
    if (name.trim() === '') return '␣'
    return /\p{Cf}/u.test(char) ? `⟨${code.toString(16).toUpperCase().padStart(4, '0')}⟩` : char
  })
    .join('')
    .slice(0, 60)
}
