export function textsOf(source: string): string[]
export function allTexts(folder?: string): string[]
