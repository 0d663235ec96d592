from ttc_rl.cli import main

main()
