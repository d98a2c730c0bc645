/** The engine of permission patterns: it means what JavaScript's own means, and takes no longer than it should. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Pattern } from '../../../src/broker/access/pattern.ts'

const characters = 'abAB.-_1 /'

const literal = fc.constantFrom('a', 'b', 'A', '1', '_', '-', ' ', '\\.', '\\/', '\\-', '.', '\\d', '\\w', '\\W', '\\D')
const set = fc.constantFrom(
  '[ab]',
  '[^a]',
  '[a-b1]',
  '[^A-Z.]',
  '[\\d_-]',
  '[.*+]',
  '[\\w.]',
  '[^\\W_]',
  '[-a]',
  '[a-]',
  '[\\]a]',
)
const assertion = fc.constantFrom('^', '$', '\\b', '\\B')
const repeat = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '{0,2}', '{2,}', '*?', '+?', '??', '{1,2}?')

const { pattern } = fc.letrec<{ pattern: string; branch: string; piece: string; group: string }>((tie) => ({
  pattern: fc.array(tie('branch'), { minLength: 1, maxLength: 3 }).map((branches) => branches.join('|')),
  branch: fc.array(tie('piece'), { maxLength: 4 }).map((pieces) => pieces.join('')),
  piece: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.tuple(fc.oneof(literal, set), repeat).map(([one, how]) => one + how),
    assertion,
    tie('group'),
  ),
  group: fc.oneof(
    fc
      .tuple(fc.constantFrom('(', '(?:', '(?<n>'), tie('pattern'), repeat)
      .map(([open, inner, how]) => `${open}${inner})${how}`),
    fc.tuple(fc.constantFrom('(?=', '(?!'), tie('pattern')).map(([open, inner]) => `${open}${inner})`),
  ),
}))

const name = fc.string({ unit: fc.constantFrom(...characters), maxLength: 10 })

/** JavaScript knows a name of a group only once. */
function expressionOf(text: string): RegExp {
  let count = 0
  return new RegExp(
    text.replaceAll('(?<n>', () => `(?<n${count++}>`),
    's',
  )
}

describe('the engine of patterns', () => {
  it('matches exactly what RegExp matches', () => {
    let refused = 0
    fc.assert(
      fc.property(pattern, fc.array(name, { minLength: 1, maxLength: 6 }), (text, names) => {
        fc.pre(text.length <= 60 && text !== '')
        const ours = new Pattern(text)
        if (ours.error !== null) refused++
        for (const one of names) {
          if (ours.error === null)
            assert.equal(ours.matches(one), expressionOf(text).test(one), `/${text}/ on '${one}'`)
        }
      }),
      { numRuns: 6_000 },
    )
    assert.equal(refused, 0)
  })

  it('refuses or takes any text, and never throws', () => {
    const symbols = fc.string({ unit: fc.constantFrom(...'()[]{}|*+?^$\\.,:=!<>-01aAdbxuPkik&#'), maxLength: 40 })
    fc.assert(
      fc.property(fc.oneof(symbols, fc.string({ unit: 'binary', maxLength: 40 })), (text) => {
        const ours = new Pattern(text)
        ours.matches('a')
        if (ours.error !== null) assert.match(ours.error, /^(is|has|ends|refers|looks|repeats) /)
      }),
      { numRuns: 6_000 },
    )
  })

  it('takes constructs of PCRE that JavaScript writes otherwise', () => {
    for (const [text, yes, no] of [
      ['\\Aapp\\z', 'app', 'my-app'],
      ['^(?i)app-', 'APP-1', 'xapp-'],
      ['^[[:alpha:]]+$', 'Abc', 'ab1'],
      ['^[^[:digit:].]+$', 'ab', 'a.b'],
      ['^[]a]+$', ']a]', 'b'],
      ['^(?P<team>x|y)\\.', 'x.q', 'z.q'],
      ['^(?i:a)', '', 'b'],
      ['^\\x41\\u0042$', 'AB', 'ab'],
    ] as const) {
      const ours = new Pattern(text)
      if (text === '^(?i:a)') assert.match(ours.error ?? '', /kind of group that is not known/)
      else assert.deepEqual([ours.error, ours.matches(yes), ours.matches(no)], [null, true, false], text)
    }
  })

  it('needs time for the length of a name only, where others never end', () => {
    const names = ['a'.repeat(255), `${'a'.repeat(254)}!`, 'ab'.repeat(127)]
    for (const text of [
      '(a+)+$',
      '(a|a)*$',
      '(a|aa)+$',
      '(.*a){20}x',
      '^.*.*.*.*x',
      `${'a?'.repeat(60)}${'a'.repeat(60)}x`,
      '(?=(a+)+b)c',
      '^(?!(a|a)*$).*x',
      '([a-z]+)*!x',
      '(?:x+x+)+y',
      '^(?=(?=(?=a*b)a*)a*)a{900}',
      '(((a{0,20}){0,20}){0,10})x',
    ]) {
      const ours = new Pattern(text)
      assert.equal(ours.error, null, text)
      const start = performance.now()
      for (const one of names) ours.matches(one)
      const ms = performance.now() - start
      assert.ok(ms < 3_000, `${text}: ${ms} ms`)
    }
  })
})
