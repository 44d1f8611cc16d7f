import type { DeskItem } from '../../api/schema'
import { said } from '../../i18n'

export const deskWords: Record<DeskItem['kind'], string> = {
  approval: said('Waits for approval'),
  tool_approval: said('Waits for approval'),
  form: said('Waits for a form'),
  question: said('Waits for the customer'),
  doubt: said('Outcome unknown'),
  not_undone: said('Could not be undone'),
  budget: said('Budget used up'),
  over_budget: said('Waits for money'),
  needs_key: said('Waits for a key'),
}

export const asksYesOrNo = (item: DeskItem): boolean => item.kind === 'approval' || item.kind === 'tool_approval'
/** Whether this key may settle it in some way, as far as the server has said. */
export const isOffered = (item: DeskItem): boolean => item.may?.length !== 0
export const deadlineOf = (item: DeskItem): number | null =>
  item.deadline === null || item.deadline === undefined ? null : new Date(item.deadline).getTime()
