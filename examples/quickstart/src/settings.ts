/** The seed and the sizes of the data in this folder. */
export const seed = 7;
export const trainRows = 480;
export const heldoutRows = 80;
