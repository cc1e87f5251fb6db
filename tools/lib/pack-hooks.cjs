// pnpm calls this on a manifest before it packs or publishes it (set as `npm_config_pnpmfile` then, not on installs: in a
// clone the packages named here exist only after a build).
module.exports = {
  hooks: {
    async beforePacking(manifest) {
      const { platformPackages, platformsOwner } = await import("./platforms.mjs");
      const platforms = manifest.name === platformsOwner ? platformPackages() : [];
      if (platforms.length === 0) return manifest;
      const versions = platforms.map((one) => [one.name, one.manifest.version]);
      return { ...manifest, optionalDependencies: Object.fromEntries(versions) };
    },
  },
};
