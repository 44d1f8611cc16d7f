import type { TaskItem } from '../../api/schema'
import { msg } from '../../i18n'

export const taskWords: Record<TaskItem['kind'], string> = {
  approval: msg('Waits for approval'),
  tool_approval: msg('Waits for approval'),
  form: msg('Waits for a form'),
  question: msg('Waits for the customer'),
  doubt: msg('Outcome unknown'),
  not_undone: msg('Could not be undone'),
  budget: msg('Budget used up'),
  over_budget: msg('Waits for money'),
  needs_key: msg('Waits for a key'),
}

export const asksYesOrNo = (item: TaskItem): boolean => item.kind === 'approval' || item.kind === 'tool_approval'
/** Whether this key may settle the task in some way, as far as the server reports. */
export const isOffered = (item: TaskItem): boolean => item.may?.length !== 0
export const deadlineOf = (item: TaskItem): number | null =>
  item.deadline === null || item.deadline === undefined ? null : new Date(item.deadline).getTime()
