/** What browsers keep for a tab, whatever page is in it. */
export class SessionStorage {
  #items = new Map();
  getItem = (name) => this.#items.get(name) ?? null;
  setItem = (name, value) => void this.#items.set(name, value);
  removeItem = (name) => void this.#items.delete(name);
}
