import { library } from "../../tools/tsup.ts";

export default library(["src/before-after.ts", "src/main.ts", "src/make-data.ts"], ["src/before-after.ts"]);
