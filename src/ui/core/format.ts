/** Numbers, sizes and times as people read them. */
import { language } from './language.ts'

function locale(): string {
  return language.value === 'zh' ? 'zh-CN' : 'en-GB'
}

/** 1,234,567 */
export function whole(value: number): string {
  return Math.round(value).toLocaleString(locale())
}

/** Short enough for a tile: 12,345 · 1.23 M */
export function short(value: number): string {
  if (value < 100_000) return whole(value)
  if (value < 10_000_000) return `${(value / 1_000_000).toFixed(2)} M`
  return value < 1_000_000_000 ? `${(value / 1_000_000).toFixed(1)} M` : `${(value / 1_000_000_000).toFixed(2)} G`
}

/** Per second: 0 · 0.4 · 12 · 1,234 */
export function rate(value: number): string {
  if (value === 0) return '0'
  return Math.abs(value) < 9.95 ? value.toFixed(1) : short(value)
}

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** 1.5 MiB */
export function bytes(value: number): string {
  let step = 0
  let left = value
  while (left >= 1024 && step < sizes.length - 1) {
    left /= 1024
    step++
  }
  return `${step === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${sizes[step] ?? ''}`
}

const units = {
  en: { ms: 'ms', s: 's', min: 'min', h: 'h', d: 'd' },
  zh: { ms: '毫秒', s: '秒', min: '分钟', h: '小时', d: '天' },
} as const

/** 3 d 4 h · 12 min · 4.2 s · 13 ms */
export function duration(ms: number): string {
  const seconds = ms / 1000
  const unit = units[language.value]
  if (seconds < 1) return `${Math.round(ms)} ${unit.ms}`
  if (seconds < 10) return `${seconds.toFixed(1)} ${unit.s}`
  if (seconds < 60) return `${Math.floor(seconds)} ${unit.s}`
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'min'],
    [Math.floor(seconds % 60), 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${unit[name]}`)
    .join(' ')
}

/** In the user's time zone: 2026-11-22 14:03:05 */
export function moment(ms: number): string {
  const date = new Date(ms)
  if (Number.isNaN(date.getTime())) return String(ms)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${clock(ms)}`
}

/** 14:03:05 */
export function clock(ms: number): string {
  const date = new Date(ms)
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

/**
 * A name, a header or a text from outside, so that nothing in it can hide or turn what stands around it: control
 * characters have their pictures, what changes the direction of text is written out.
 */
export function visible(text: string): string {
  return text.replace(/\p{Cc}|\p{Cf}|\p{Zl}|\p{Zp}/gu, shown)
}

function shown(char: string): string {
  const code = char.codePointAt(0) ?? 0
  if (code < 0x20) return String.fromCharCode(0x2400 + code)
  return `⟨${code.toString(16).toUpperCase().padStart(4, '0')}⟩`
}

/** The same where it stands alone: spaces around a name, or instead of one, are seen. */
export function visibleName(name: string): string {
  return visible(name).replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length))
}

/** The same for what may have lines. */
export function visibleLines(text: string): string {
  return text
    .split('\n')
    .map((line) => visible(line.replaceAll('\t', '  ')))
    .join('\n')
}

/** JSON values of arguments, headers and definitions, on one line. */
export function value(json: unknown): string {
  return typeof json === 'string' ? visible(json) : visible(JSON.stringify(json) ?? '')
}
