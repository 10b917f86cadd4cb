/** Gives the text with `replace()` in place of everything that it finds. */
export type Detector = (text: string, replace: () => string) => string;
