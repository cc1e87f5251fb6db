// Stands in for koffi in the bundle of the process that is killed: it runs the reference loops and calls no library.
export default {};
