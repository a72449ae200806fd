/* What is shown, piece by piece. */

/** An element with text and children. */
export const element = (tag, text = "", ...children) => {
  const made = document.createElement(tag);
  made.textContent = text;
  made.append(...children);
  return made;
};
