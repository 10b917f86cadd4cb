/** The regular expressions of a source text, without a parser: comments, strings and templates are passed over. */

const beforePattern = new Set("(,=:[!&|?{};+-*%<>~^\n");
const wordBeforePattern = /^(?:return|case|typeof|of|in|yield|await)$/;

/** As they stand there, flags included. Throws where a line is read wrongly. */
export function findPatterns(text: string): string[] {
  const found: string[] = [];
  /** Depths of braces at which a template goes on. */
  const templates: number[] = [];
  let depth = 0;
  let last = "\n";
  let word = "";
  let at = text.startsWith("#!") ? text.indexOf("\n") : 0;

  const skipTo = (end: string): void => {
    const next = text.indexOf(end, at);
    at = next === -1 ? text.length : next + end.length;
  };
  const skipString = (quote: string): void => {
    for (at++; at < text.length && text[at] !== quote; at++) if (text[at] === "\\") at++;
    at++;
  };
  /** To the end of the template, or into what it holds. */
  const skipTemplate = (): void => {
    for (at++; at < text.length && text[at] !== "`"; at++) {
      if (text[at] === "\\") at++;
      else if (text.startsWith("${", at)) {
        templates.push(depth);
        at += 2;
        last = "(";
        return;
      }
    }
    at++;
    last = "`";
  };
  const takePattern = (): void => {
    const start = at;
    let inClass = false;
    for (at++; text[at] !== "/" || inClass; at++) {
      if (text[at] === "\n" || at >= text.length) throw new Error(`no regular expression: ${text.slice(start, start + 60)}`);
      if (text[at] === "\\") at++;
      else if (text[at] === "[") inClass = true;
      else if (text[at] === "]") inClass = false;
    }
    for (at++; /[a-z]/.test(text[at] ?? ""); ) at++;
    found.push(text.slice(start, at));
    last = "/";
  };

  while (at < text.length) {
    const character = text.charAt(at);
    if (text.startsWith("//", at)) skipTo("\n");
    else if (text.startsWith("/*", at)) skipTo("*/");
    else if (character === '"' || character === "'") {
      skipString(character);
      last = character;
    } else if (character === "`" || (character === "}" && templates.at(-1) === depth)) {
      if (character === "}") templates.pop();
      skipTemplate();
    } else if (character === "/" && (beforePattern.has(last) || wordBeforePattern.test(word))) takePattern();
    else {
      if (character === "{") depth++;
      if (character === "}") depth--;
      const continues = /\w/.test(text.charAt(at - 1));
      if (/\w/.test(character)) word = continues ? word + character : character;
      if (!/\s/.test(character)) last = character;
      if (!/[\w\s]/.test(character)) word = "";
      at++;
      continue;
    }
    word = "";
  }
  return found;
}
