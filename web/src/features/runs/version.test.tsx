import { expect, test } from 'vitest'
import { draw } from '../../ui/testing'
import { Version } from './version'

const bundle = '9f2c81d04be7'
const textAndTitle = async (label: string, revision: number | null) => {
  const place = await draw(<Version label={label} revision={revision} bundle={bundle} />)
  return [place.textContent?.trim(), place.querySelector('[title]')?.getAttribute('title')]
}

test('a version shows its label and revision, only its revision without a label, its hash if deleted', async () => {
  expect(await textAndTitle('1.4.0', 3)).toEqual(['1.4.0 r3', 'Version 1.4.0, revision 3'])
  expect(await textAndTitle('', 3)).toEqual(['r3', 'Revision 3'])
  expect(await textAndTitle('1.4.0', null)).toEqual(['9f2c81d', bundle])
})
