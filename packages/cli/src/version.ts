/** Version of the packages, which are released together. */
export const version = "0.1.0";
