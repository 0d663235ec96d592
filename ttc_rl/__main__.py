from ttc_rl.cli.app import main

main()
